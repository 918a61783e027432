"""Kill -9 of any process in the middle of a boot: it ends ACTIVE, or ERROR with nothing left, within a minute."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.running_cloud import RunningCloud, virsh, wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.real]


@pytest.fixture
def boot(cloud: RunningCloud) -> Iterator[Callable[[], str]]:
    """Asks for a boot when it is called; gives the id. In the end the instance is deleted and nothing of it is left."""
    wait_for(
        "the compute host to be up",
        lambda: "up" in cloud.openstack("compute", "service", "list", "--service", "nova-compute"),
    )
    image = cloud.openstack_json("image", "show", "tiny")["id"]
    network = cloud.openstack_json("network", "show", "shared")["id"]
    flavors = {row["Name"]: row["ID"] for row in cloud.openstack_json("flavor", "list")}
    body = {"name": "victim", "imageRef": image, "flavorRef": flavors["m1.nano"], "networks": [{"uuid": network}]}
    asked: list[str] = []

    def ask() -> str:
        answer = cloud.call("POST", "/servers", server=body)
        assert answer.status_code == 202, answer.text
        asked.append(answer.json()["server"]["id"])
        return asked[-1]

    yield ask
    wait_for("the API to answer", cloud.is_well, timeout=60)
    for server_id in asked:
        cloud.call("DELETE", f"/servers/{server_id}")
        wait_for("the delete", lambda: cloud.status_of(server_id) is None, timeout=120)  # noqa: B023 (awaited here)
        assert server_id not in virsh("list", "--all", "--uuid")
        assert not (cloud.state_dir / "instances" / server_id).exists()
        assert cloud.count("networks.Port", device_id=server_id) == 0
        assert cloud.count("scheduling.Allocation", consumer=server_id) == 0


@pytest.mark.parametrize("moment", ["accepted", "spawning"])
@pytest.mark.parametrize("process", ["compute", "conductor", "redis", "api", "beat"])
def test_a_boot_survives_the_death_of(cloud: RunningCloud, boot: Callable[[], str], process: str, moment: str) -> None:
    victim = cloud.pid_of(process)
    server_id = boot()
    if moment == "spawning":  # its host has been given the leg
        wait_for("its leg", lambda: cloud.server(server_id)["OS-EXT-STS:task_state"] != "scheduling")
    status = cloud.status_of(server_id)
    os.kill(victim, signal.SIGKILL)
    killed_at = time.monotonic()
    assert status == "BUILD", "the boot was over before the kill: this proved nothing"

    def ended() -> str | None:
        try:
            status = cloud.status_of(server_id)
        except OSError:  # the API itself is coming back
            return None
        return status if status in ("ACTIVE", "ERROR") else None

    status = wait_for("the boot to end", ended, timeout=60)
    print(f"{process} killed, {moment}: {status} after {time.monotonic() - killed_at:.1f} s")
    if status == "ERROR":
        assert cloud.server(server_id)["fault"]["message"]
        assert server_id not in virsh("list", "--all", "--uuid")
        assert not (cloud.state_dir / "instances" / server_id).exists()
    else:
        assert server_id in virsh("list", "--uuid")
