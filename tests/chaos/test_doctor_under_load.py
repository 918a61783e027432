"""The doctor beside real processes at work: three simulated hosts, clients that boot, stop, move and delete."""

from __future__ import annotations

import json
import re
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.running_cloud import RunningCloud, free_port, wait_for

pytestmark = [pytest.mark.chaos]

CLIENTS, LOOKS = 3, 6


@pytest.fixture
def cloud() -> Iterator[RunningCloud]:
    made = RunningCloud(Path(tempfile.mkdtemp(prefix="kn-doctor-")))
    names = [f"d{free_port()}-{number}" for number in range(3)]
    made.settings = {"KILONOVA_DRIVER": "simulated", "KILONOVA_HOST": ",".join(names), "SHELVED_OFFLOAD_TIME": "0"}
    try:
        made.up()
        yield made
    finally:
        made.down()


def report_of(cloud: RunningCloud) -> dict[str, Any]:
    said = cloud.kilonova("manage", "doctor", "--json", check=False)
    begin = re.search(r"^\{$", said, re.M)
    assert begin is not None, said[-3000:]
    return json.loads(said[begin.start() :])  # type: ignore[no-any-return]


def doctor(cloud: RunningCloud) -> list[Any]:
    report = report_of(cloud)
    assert {host["state"] for host in report["hosts"]} == {"answered"}, report["hosts"]
    return list(report["findings"])


def test_nothing_is_wrong_while_clients_keep_a_cloud_busy(cloud: RunningCloud) -> None:
    wait_for("the hosts to be up", lambda: [host["state"] for host in report_of(cloud)["hosts"]] == ["answered"] * 3)
    image, network = cloud.openstack_json("image", "list")[0]["ID"], cloud.openstack_json("network", "list")[0]["ID"]
    flavor = next(row["ID"] for row in cloud.openstack_json("flavor", "list") if row["Name"] == "m1.nano")
    body = {"name": "busy", "imageRef": image, "flavorRef": flavor, "networks": [{"uuid": network}]}
    is_over, done, errors = threading.Event(), [0] * CLIENTS, list[BaseException]()

    def work(number: int) -> None:
        try:
            while not is_over.is_set():
                server = cloud.call("POST", "/servers", server=body).json()["server"]["id"]
                settle(server)
                for verb, argument in VERBS:
                    cloud.call("POST", f"/servers/{server}/action", **{verb: argument})
                    settle(server)
                    done[number] += 1
                cloud.call("DELETE", f"/servers/{server}")
        except BaseException as error:
            errors.append(error)

    def settle(server: str) -> None:
        wait_for(f"{server} to be idle", lambda: cloud.server(server)["OS-EXT-STS:task_state"] is None)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    looked = []
    try:
        for _ in range(LOOKS):
            looked.append(doctor(cloud))
    finally:
        is_over.set()
        for thread in threads:
            thread.join(180)
    assert errors == []
    assert looked == [[]] * LOOKS
    print(f"{sum(done)} verbs, {len(looked)} looks")
    assert sum(done) > 20
    wait_for("all to be over", lambda: cloud.count("workflow.Action", state="RUNNING") == 0)
    assert doctor(cloud) == []


VERBS = (
    ("os-stop", None),
    ("os-start", None),
    ("os-migrateLive", {"host": None, "block_migration": "auto"}),
    ("pause", None),
    ("unpause", None),
    ("migrate", None),
    ("confirmResize", None),
    ("shelve", None),
    ("unshelve", None),
)
