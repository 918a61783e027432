"""Cold migration on real hosts: over shared storage and to a storage apart, running and at rest."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.rig.actions import failed_with, last_action
from tests.rig.moves import everywhere, kept, only, report_time
from tests.rig.rig import DEAF, Rig
from tests.running_cloud import wait_for

pytestmark = [pytest.mark.rig, pytest.mark.real]

Boot = Callable[..., str]


def test_a_guest_migrates_over_shared_storage_and_at_rest_to_another(rig: Rig, boot: Boot) -> None:
    server = boot("migrated", "h1")

    rig.openstack("server", "migrate", "--host", "h2", "--wait", server)
    report_time(rig, server, "migrate, shared storage")
    rig.wait_status(server, "VERIFY_RESIZE")
    assert rig.host_of(server) == "h2"
    assert rig.where(server) == {"h2": "running"}
    assert len(kept(rig, "h1", server)) == 1
    rig.guest_says(server, r"boots=2\b")
    assert rig.invariants() == []

    rig.openstack("server", "migrate", "revert", server)
    rig.wait_status(server, "ACTIVE")
    report_time(rig, server, "revert, shared storage")
    assert rig.host_of(server) == "h1"
    assert rig.where(server) == {"h1": "running"}
    rig.guest_says(server, r"boots=2\b")  # again: the disk is as it was before the migration
    assert everywhere(rig, server) == {"h1": [server], "h2": [server]}, "h1 and h2 are one storage"
    assert rig.invariants() == []

    with only(rig, "h2", "h1"):
        rig.openstack("server", "migrate", "--wait", server)
    assert rig.host_of(server) == "h2", "never the same host"
    rig.openstack("server", "migrate", "confirm", server)
    rig.wait_status(server, "ACTIVE")
    report_time(rig, server, "confirm, shared storage")
    assert everywhere(rig, server) == {"h1": [server], "h2": [server]}
    assert rig.where(server) == {"h2": "running"}

    rig.guest_says(server, r"boots=3\b[\s\S]*BOOT-OK")

    rig.openstack("server", "stop", server)
    rig.wait_status(server, "SHUTOFF")
    rig.openstack("server", "migrate", "--host", "h3", "--wait", server)
    report_time(rig, server, "migrate at rest, other storage")
    assert rig.where(server) == {"h3": "shut off"}
    rig.openstack("server", "migrate", "confirm", server)
    rig.wait_status(server, "SHUTOFF")
    assert everywhere(rig, server) == {"h3": [server]}
    assert rig.invariants() == []
    rig.openstack("server", "start", server)
    rig.wait_status(server, "ACTIVE")
    rig.guest_says(server, r"boots=4\b")


@pytest.mark.parametrize(
    ("host", "said"), [("h9", "could not be found"), ("h1", "where the server exists"), ("h2", "is disabled")]
)
def test_a_host_that_cannot_take_it_is_refused_at_once(rig: Rig, boot: Boot, host: str, said: str) -> None:
    server = boot("refused", "h1", is_booted=False)
    with only(rig, "h1", "h3"):
        answer = rig.act(server, "migrate", {"host": host})
    assert answer.status_code == 400
    assert said in answer.json()["badRequest"]["message"]
    assert rig.server(server)["status"] == "ACTIVE"


def test_a_revert_without_the_kept_disk_says_so_and_the_guest_runs_on(rig: Rig, boot: Boot) -> None:
    server = boot("lost", "h3", is_booted=False)
    rig.openstack("server", "migrate", "--host", "h1", "--wait", server)
    (directory,) = kept(rig, "h3", server)
    disk = rig.host("h3").instances / directory / "disk"
    disk.rename(disk.with_name("elsewhere"))
    rig.openstack("server", "resize", "revert", server)
    shown = rig.wait_status(server, "VERIFY_RESIZE")
    assert shown["OS-EXT-STS:vm_state"] == "resized"
    assert rig.where(server) == {"h1": "running"}
    assert rig.manage("shell", "-c", "from instances.models import Fault; print(Fault.objects.last().message)").strip()
    disk.with_name("elsewhere").rename(disk)
    rig.openstack("server", "resize", "revert", server)
    rig.wait_status(server, "ACTIVE")
    assert rig.where(server) == {"h3": "running"}
    assert everywhere(rig, server) == {"h3": [server]}


@pytest.mark.parametrize("dies", ["h1", "h3"], ids=["source", "destination"])
def test_a_host_that_dies_in_the_middle_leaves_the_guest_at_the_source(rig: Rig, boot: Boot, dies: str) -> None:
    server = boot("halfway", "h1", user_data=DEAF)
    rig.guest_says(server, "deaf now")
    rig.openstack("server", "migrate", "--host", "h3", server)
    # It is asked to shut down, does not hear it, and the host waits for a minute.
    wait_for("the source to be at it", lambda: "stop_leaving" in str(last_action(rig, server)["events"]), 60)
    rig.crash(dies)
    assert f"Host {dies} is down" in failed_with(rig, server)
    assert rig.server(server)["status"] == "ACTIVE"
    rig.start(dies)
    wait_for("the guest to run", lambda: rig.where(server) == {"h1": "running"})
    rig.wait_status(server, "ACTIVE")
    assert (rig.host_of(server), rig.where(server)) == ("h1", {"h1": "running"})
    rig.guest_says(server, r"boots=2\b", timeout=300)
    assert everywhere(rig, server) == {"h1": [server], "h2": [server]}
    assert list(rig.allocations()[server]) == ["h1"]
    assert rig.invariants() == []
