"""Evacuation from a host without power, by the `openstack` client; and what the host finds when power returns."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.rig.rig import BOOTED, Rig
from tests.rig.test_rebuild import net_of
from tests.rig.timing import timed
from tests.running_cloud import wait_for

pytestmark = [pytest.mark.rig, pytest.mark.real]

Boot = Callable[..., str]
RUNS = ("--os-compute-api-version", "2.94")  # before 2.95 an evacuated server runs


def crash(rig: Rig, host: str) -> None:
    rig.crash(host)
    rig.wait_down(host)


def test_on_shared_storage_the_disk_is_kept_and_the_old_host_loses_the_guest(rig: Rig, boot: Boot) -> None:
    server = boot("moved", "h1")
    before = net_of(rig, server)
    said = len(rig.console(server))
    refused = rig.openstack("server", "evacuate", server, status=1)
    assert "Compute service of h1 is still in use" in refused
    crash(rig, "h1")
    with timed("evacuate, shared storage"):
        rig.openstack(*RUNS, "server", "evacuate", server)
        wait_for("the evacuation", lambda: rig.host_of(server) == "h2", timeout=60)
        rig.wait_status(server, "ACTIVE")
    rig.guest_says(server, r"boots=2", after=said)
    rig.guest_says(server, BOOTED, after=said)
    assert net_of(rig, server) == before
    assert rig.where(server) == {"h2": "running"}
    assert rig.count("instances.Migration", instance_id=server, status="completed", details__is_storage_shared=True)
    assert rig.invariants() == []

    rig.start("h1")  # it is up: before that it lets go what is not its own (rule R6)
    assert rig.where(server) == {"h2": "running"}
    said = len(rig.console(server))
    rig.guest_says(server, r"tick", after=said)
    assert "disk" in rig.files("h2", server)
    assert rig.invariants() == []


def test_without_shared_storage_the_disk_is_made_anew_and_the_version_says_whether_it_runs(
    rig: Rig, boot: Boot
) -> None:
    server = boot("made-anew", "h3")
    before = net_of(rig, server)
    crash(rig, "h3")
    refused = rig.openstack("server", "evacuate", "--host", "h3", server, status=1)
    assert "can't be the same one" in refused
    refused = rig.openstack("server", "evacuate", "--host", "h9", server, status=1)
    assert "could not be found" in refused
    with timed("evacuate, disk made anew, ends stopped"):
        rig.openstack("server", "evacuate", "--host", "h1", server)
        rig.wait_status(server, "SHUTOFF")
    assert rig.where(server) == {"h1": "shut off"}
    rig.openstack("server", "start", server)
    rig.wait_status(server, "ACTIVE")
    rig.guest_says(server, BOOTED)
    assert rig.boots(server) == 1
    assert net_of(rig, server) == before
    assert rig.count("instances.Migration", instance_id=server, status="completed", details__is_storage_shared=False)

    rig.start("h3")
    assert rig.where(server) == {"h1": "running"}
    assert rig.files("h3", server) == []
    assert rig.invariants() == []


def test_an_evacuation_that_fails_leaves_the_disk_where_it_was(rig: Rig, boot: Boot) -> None:
    server = boot("stays", "h1")
    crash(rig, "h1")
    config = rig.directory("h1", server) / "disk.config"  # shared: h2 has it too
    hidden = config.with_name("disk.config.hidden")
    config.rename(hidden)
    try:
        rig.openstack(*RUNS, "server", "evacuate", "--host", "h2", server)
        wait_for("the fault", lambda: rig.count("instances.Fault", instance_id=server), timeout=90)
        rig.wait_status(server, "ACTIVE")
    finally:
        hidden.rename(config)
    assert rig.host_of(server) == "h1"
    assert rig.where(server) == {}
    assert "disk" in rig.files("h2", server), "the undo removed the shared disk"
    assert rig.count("instances.Migration", instance_id=server, status="failed") == 1
    rig.openstack(*RUNS, "server", "evacuate", server)
    wait_for("the evacuation", lambda: rig.host_of(server) == "h2", timeout=60)
    rig.wait_status(server, "ACTIVE")
    rig.guest_says(server, r"boots=2")
    rig.start("h1")
    assert rig.where(server) == {"h2": "running"}
