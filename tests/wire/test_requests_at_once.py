"""Real processes, simulated hosts: two verbs at once on one instance, and a hundred mixed requests on ten."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.requests_at_once import STABLE, come_to_rest, race, send_mixed
from tests.rig import invariants, records
from tests.running_cloud import RunningCloud

pytestmark = [pytest.mark.wire]
HOSTS = ("s1", "s2", "s3")
POWER = {1: "running", 3: "paused", 4: "shut off"}


@pytest.fixture(scope="module")
def simulated() -> Iterator[RunningCloud]:
    """A cloud of three simulated hosts."""
    settings = {"KILONOVA_DRIVER": "simulated", "KILONOVA_HOST": ",".join(HOSTS), "HEARTBEAT_INTERVAL": "2"}
    cloud = RunningCloud(Path(tempfile.mkdtemp(prefix="kn-sim-", dir="/var/lib")), settings)
    try:
        cloud.up("--no-demo", "--seed")
        yield cloud
    finally:
        cloud.down()


@pytest.fixture(scope="module")
def servers(simulated: RunningCloud) -> list[str]:
    """Ten servers, all ACTIVE."""
    image = next(i for i in simulated.openstack_json("image", "list") if i["Name"] == "tiny")["ID"]
    simulated.openstack(
        *("server", "create", "--image", image, "--flavor", "m1.nano", "--network", "shared"),
        *("--min", "10", "--max", "10", "--wait", "many"),
    )
    return [server["ID"] for server in simulated.openstack_json("server", "list")]


def breaches(cloud: RunningCloud) -> list[str]:
    """What does not agree between the database and the simulated hosts' files."""
    domains, directories = {}, {}
    for host in HOSTS:
        notes = (cloud.state_dir / host / "simulated" / "domains").glob("*.json")
        domains[host] = {note.stem: POWER[json.loads(note.read_text())["power_state"]] for note in notes}
        directories[host] = {path.name for path in (cloud.state_dir / host / "instances").iterdir() if path.is_dir()}
    return invariants.breaches(records.read(cloud), domains, directories)


def test_of_two_verbs_at_once_one_wins_and_the_other_gets_409(simulated: RunningCloud, servers: list[str]) -> None:
    for server in servers:  # neither verb starts from where the other leads
        assert race(simulated, server, ("os-stop", None), ("pause", None)) == [202, 409]
    for status in come_to_rest(simulated, servers).values():
        assert status in ("SHUTOFF", "PAUSED")
    assert breaches(simulated) == []


def test_a_hundred_mixed_requests_at_once_leave_every_instance_settled(
    simulated: RunningCloud, servers: list[str]
) -> None:
    answers = send_mixed(simulated, servers, count=100, threads=10, seed=20)
    assert set(answers) <= {202, 409}, answers
    assert answers[202] > 10, answers
    rested = come_to_rest(simulated, servers)
    assert set(rested.values()) <= STABLE, rested
    assert breaches(simulated) == []
