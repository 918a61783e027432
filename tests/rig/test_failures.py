"""One failure of each verb on a real host: the instance is where the table says, the step that failed names the cause,
nothing is left over, and the same verb works once the cause is gone. One guest goes through all of them.

The failures of suspend, snapshot, backup, shelve, unshelve, rescue, rebuild, resize, revert, migrations and evacuation
are beside what those verbs promise, in the files of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cloud.embedded import supervisor
from tests.rig.actions import failed_with, last_action
from tests.rig.moves import everywhere, kept
from tests.rig.rig import BOOTED, Rig
from tests.running_cloud import wait_for

pytestmark = [pytest.mark.rig, pytest.mark.real]

FILES = ["console.log", "disk", "disk.config", "made.json"]


@pytest.fixture(scope="module")
def guest(rig: Rig) -> Iterator[str]:
    """A server on h1, booted."""
    made = rig.boot("unlucky", "h1")
    yield made
    rig.delete(made)
    assert rig.left_of(made) == []


@pytest.fixture
def server(rig: Rig, guest: str) -> Iterator[str]:
    """It, ACTIVE; nothing but its own is there afterwards."""
    if rig.status_of(guest) == "SHUTOFF":
        works(rig, guest, "os-start", ends="ACTIVE")
    yield guest
    assert rig.files(rig.host_of(guest), guest) == FILES
    assert rig.invariants() == []


def asks(rig: Rig, server: str, verb: str, body: Any = None) -> None:
    answer = rig.act(server, verb, body)
    assert answer.status_code in (200, 202, 204), answer.text


def works(rig: Rig, server: str, verb: str, body: Any = None, *, ends: str) -> None:
    """The verb, and the status that comes of it."""
    asks(rig, server, verb, body)
    rig.wait_status(server, ends)
    assert last_action(rig, server)["message"] is None


def fails(rig: Rig, server: str, verb: str, body: Any = None, *, ends: str, cause: str) -> None:
    """The verb fails for that cause, and leaves the server in that status."""
    asks(rig, server, verb, body)
    assert cause in failed_with(rig, server)
    rig.wait_status(server, ends)


def fails_for_the_guest_goes_off(rig: Rig, server: str, verb: str, body: Any = None, *, cause: str = "is off") -> None:
    """The verb is accepted, and before its host begins the guest goes off: it is SHUTOFF, and says so."""
    worker = str(supervisor.named(rig.host("h1").settings, "compute").pid)
    rig.run("h1", "kill", "-STOP", worker)
    try:
        asks(rig, server, verb, body)
        rig.virsh("h1", "destroy", server)
    finally:
        rig.run("h1", "kill", "-CONT", worker)
    assert cause in failed_with(rig, server)
    rig.wait_status(server, "SHUTOFF")
    assert rig.where(server) == {"h1": "shut off"}


@contextmanager
def without_disk(rig: Rig, server: str) -> Iterator[None]:
    """Its disk is not where it should be."""
    disk = rig.directory("h1", server) / "disk"
    aside = disk.rename(disk.parent.parent / f"{server}-disk-aside")
    try:
        yield
    finally:
        aside.rename(disk)


@contextmanager
def unpluggable(rig: Rig) -> Iterator[None]:
    """No port can be plugged on h1."""
    locks = sorted(rig.run("h1", "sh", "-c", f"ls -d {rig.plan.state_path}/networks/*.lock").split())
    for lock in locks:
        rig.run("h1", "sh", "-c", f"mv {lock} {lock}.aside && mkdir {lock}")
    try:
        yield
    finally:
        for lock in locks:
            rig.run("h1", "sh", "-c", f"rmdir {lock} && mv {lock}.aside {lock}")


def test_a_start_without_a_disk(rig: Rig, server: str) -> None:
    works(rig, server, "os-stop", ends="SHUTOFF")
    with without_disk(rig, server):
        fails(rig, server, "os-start", ends="SHUTOFF", cause="disk")
        assert rig.where(server) == {"h1": "shut off"}
    works(rig, server, "os-start", ends="ACTIVE")


def test_a_pause_of_a_guest_that_goes_off(rig: Rig, server: str) -> None:
    fails_for_the_guest_goes_off(rig, server, "pause")


def test_an_unpause_of_a_guest_that_goes_off(rig: Rig, server: str) -> None:
    works(rig, server, "pause", ends="PAUSED")
    fails_for_the_guest_goes_off(rig, server, "unpause")


def test_a_crash_dump_of_a_guest_that_goes_off(rig: Rig, server: str) -> None:
    fails_for_the_guest_goes_off(rig, server, "trigger_crash_dump")


def test_a_password_for_a_guest_that_goes_off(rig: Rig, server: str) -> None:
    fails_for_the_guest_goes_off(rig, server, "changePassword", {"adminPass": "never-set-1"}, cause="not running")


def test_a_hard_reboot_of_a_guest_whose_network_cannot_be_had(rig: Rig, server: str) -> None:
    with unpluggable(rig):
        fails(rig, server, "reboot", {"type": "HARD"}, ends="ACTIVE", cause="Is a directory")
        assert rig.where(server) == {"h1": "running"}, "it was ended, and runs again"
    works(rig, server, "reboot", {"type": "HARD"}, ends="ACTIVE")


def test_a_soft_reboot_that_had_to_be_a_hard_one_and_cannot(rig: Rig, server: str) -> None:
    works(rig, server, "pause", ends="PAUSED")
    rig.openstack("server", "set", "--state", "active", "--auto-approve", server)
    with unpluggable(rig):  # paused in truth, it hears no ACPI
        fails(rig, server, "reboot", {"type": "SOFT"}, ends="ACTIVE", cause="Is a directory")
        assert rig.where(server) == {"h1": "running"}
    mark = len(rig.console(server))
    works(rig, server, "reboot", {"type": "HARD"}, ends="ACTIVE")
    rig.guest_says(server, BOOTED, after=mark)


def test_a_resume_without_a_disk_keeps_the_memory(rig: Rig, server: str) -> None:
    before, boots = rig.uptime(server), rig.boots(server)
    works(rig, server, "suspend", ends="SUSPENDED")
    with without_disk(rig, server):
        fails(rig, server, "resume", ends="SUSPENDED", cause="disk")
    works(rig, server, "resume", ends="ACTIVE")
    assert rig.uptime(server) > before
    assert rig.boots(server) == boots


def test_an_unrescue_of_a_guest_whose_network_cannot_be_had(rig: Rig, server: str) -> None:
    works(rig, server, "rescue", {}, ends="RESCUE")
    with unpluggable(rig):
        fails(rig, server, "unrescue", ends="RESCUE", cause="Is a directory")
        assert rig.where(server) == {"h1": "running"}
        assert "disk.rescue" in rig.files("h1", server)
    works(rig, server, "unrescue", ends="ACTIVE")


def test_a_stop_while_libvirt_is_away(rig: Rig, server: str) -> None:
    before = rig.uptime(server)
    rig.control("h1", "stop", "libvirtd")
    try:
        asks(rig, server, "os-stop")
        attempts = lambda: [e for e in last_action(rig, server)["events"] if e["result"] == "Error"]  # noqa: E731
        wait_for("the host to have tried", lambda: len(attempts()) >= 3, 180)
    finally:
        rig.control("h1", "start", "libvirtd")
    assert "libvirt" in failed_with(rig, server)
    rig.wait_status(server, "ACTIVE")
    assert rig.where(server) == {"h1": "running"}
    assert rig.uptime(server) > before + 15, "it was never off, while its host tried three times for ten seconds"


@contextmanager
def held_directory(rig: Rig, server: str) -> Iterator[None]:
    """The server's directory on h1 cannot be removed: something is mounted in it."""
    instances = rig.plan.state_path / "instances"
    held = instances / server / "held"
    rig.run("h1", "mkdir", str(held))
    rig.run("h1", "mount", "-t", "tmpfs", "tmpfs", str(held))
    try:
        yield
    finally:
        rig.run("h1", "sh", "-c", f"umount {instances}/.removing-{server}/held || umount {held}")


def test_an_offload_and_a_delete_that_cannot_clear_away_are_tried_until_they_can(
    rig: Rig, boot: Callable[..., str]
) -> None:
    shelved, doomed = boot("shelved", "h1", is_booted=False), boot("doomed", "h1", is_booted=False)
    with held_directory(rig, shelved), held_directory(rig, doomed):
        asks(rig, shelved, "shelve")
        rig.call("DELETE", f"/servers/{doomed}")
        for server in (shelved, doomed):
            wait_for("a failure", lambda: "busy" in str(last_action(rig, server)["events"]), 120)  # noqa: B023
        assert rig.server(doomed)["OS-EXT-STS:task_state"] == "deleting"
    rig.wait_status(shelved, "SHELVED_OFFLOADED")
    wait_for("the delete", lambda: rig.status_of(doomed) is None, 120)
    for server in (shelved, doomed):
        assert [rig.files(host, server) for host in rig.hosts] == [[], [], []]
        assert rig.where(server) == {}


def test_a_restore_without_a_disk(rig: Rig, boot: Callable[..., str]) -> None:
    server = boot("kept", "h1", is_booted=False)
    with rig.setting(RECLAIM_INSTANCE_INTERVAL="3600"):
        rig.openstack("server", "delete", server)
        rig.wait_status(server, "SOFT_DELETED")
        with without_disk(rig, server):
            fails(rig, server, "restore", ends="SOFT_DELETED", cause="disk")
        assert rig.where(server) == {"h1": "shut off"}
        works(rig, server, "restore", ends="ACTIVE")
        assert rig.where(server) == {"h1": "running"}
        rig.openstack("server", "delete", "--force", "--wait", server)
    assert rig.left_of(server) == []


def test_a_confirmation_that_cannot_clear_away_is_tried_until_it_can(rig: Rig, server: str) -> None:
    works(rig, server, "migrate", {"host": "h3"}, ends="VERIFY_RESIZE")
    (name,) = kept(rig, "h1", server)
    held = Path(rig.plan.state_path) / "instances" / name / "held"
    rig.run("h1", "mkdir", str(held))
    rig.run("h1", "mount", "-t", "tmpfs", "tmpfs", str(held))
    try:
        asks(rig, server, "confirmResize")
        wait_for("a failure", lambda: "busy" in str(last_action(rig, server)["events"]), 60)
        shown = rig.server(server)
        assert (shown["status"], shown["OS-EXT-STS:task_state"]) == ("VERIFY_RESIZE", "resize_confirming")
        assert rig.where(server)["h3"] == "running"
    finally:
        renamed = held.parent.parent / f".removing-{name}" / "held"
        rig.run("h1", "sh", "-c", f"umount {renamed} || umount {held}")
    rig.wait_status(server, "ACTIVE")
    assert everywhere(rig, server) == {"h3": [server]}
