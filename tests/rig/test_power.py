"""Power verbs and power states on real hosts, by the real client: what they promise, seen from inside the guest and in
libvirt; guests that change behind the cloud's back; hosts that lose their power. Times are printed (`-s`)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest

from tests.rig.rig import BOOTED, DEAF, Rig
from tests.running_cloud import wait_for

pytestmark = [pytest.mark.rig, pytest.mark.real]

Boot = Callable[..., str]
RUNNING, SHUTDOWN, CRASHED, NOSTATE = 1, 4, 6, 0


@contextmanager
def timed(verb: str) -> Iterator[None]:
    begun = time.monotonic()
    yield
    print(f"\ntime of {verb} on the rig: {time.monotonic() - begun:.2f} s")


def do(rig: Rig, server: str, status: str, *words: str) -> None:
    """`openstack server …`, and the status that comes of it."""
    rig.openstack("server", *words, server)
    rig.wait_status(server, status)
    listed = rig.call("GET", f"/servers/{server}/os-instance-actions").json()["instanceActions"]
    begun, ended = (datetime.fromisoformat(listed[0][name]) for name in ("start_time", "updated_at"))
    print(f"\ntime of {' '.join(words)} on the rig: {(ended - begun).total_seconds():.2f} s")


def power_state(rig: Rig, server: str) -> int:
    return int(rig.server(server)["OS-EXT-STS:power_state"])


def wait_power(rig: Rig, server: str, status: str, power: int) -> None:
    rig.wait_status(server, status)
    wait_for(f"power_state {power}", lambda: power_state(rig, server) == power, 60)


def saves(rig: Rig, host: str) -> list[str]:
    """Files of saved memory on a host."""
    return rig.run(host, "find", "/var/lib/libvirt/qemu/save", "-type", "f").split()


def actions(rig: Rig, server: str) -> list[str]:
    listed = rig.call("GET", f"/servers/{server}/os-instance-actions").json()["instanceActions"]
    return [action["action"] for action in reversed(listed)]


def test_each_verb_does_to_the_guest_what_it_says(rig: Rig, boot: Boot) -> None:
    server = boot("power", "h1")
    assert rig.boots(server) == 1

    before = rig.uptime(server)
    do(rig, server, "PAUSED", "pause")
    assert rig.where(server) == {"h1": "paused"}
    do(rig, server, "ACTIVE", "unpause")
    before = max(before, rig.uptime(server))

    do(rig, server, "SUSPENDED", "suspend")
    assert power_state(rig, server) == SHUTDOWN
    assert rig.where(server) == {"h1": "shut off"}
    assert len(saves(rig, "h1")) == 1
    assert server in rig.allocations(), "a suspended guest's room is its own"
    do(rig, server, "ACTIVE", "resume")
    assert rig.uptime(server) > before
    assert rig.boots(server) == 1, "it booted instead of going on"
    assert saves(rig, "h1") == []

    mark = len(rig.console(server))
    do(rig, server, "ACTIVE", "reboot", "--soft")
    rig.guest_says(server, BOOTED, after=mark)
    assert "power button" in rig.console(server)[mark:] or len(rig.console(server)) < mark
    assert rig.boots(server) == 2

    mark = len(rig.console(server))
    do(rig, server, "ACTIVE", "reboot", "--hard")
    rig.guest_says(server, BOOTED, after=mark)
    assert rig.boots(server) == 3

    do(rig, server, "SHUTOFF", "stop")
    assert rig.where(server) == {"h1": "shut off"}
    mark = len(rig.console(server))
    do(rig, server, "ACTIVE", "start")
    rig.guest_says(server, BOOTED, after=mark)
    assert rig.boots(server) == 4

    do(rig, server, "ACTIVE", "dump", "create")
    wait_for("the crash dump's action", lambda: "trigger_crash_dump" in actions(rig, server))
    rig.wait_status(server, "ACTIVE")

    do(rig, server, "SUSPENDED", "suspend")
    mark = len(rig.console(server))
    do(rig, server, "ACTIVE", "reboot", "--hard")
    rig.guest_says(server, BOOTED, after=mark)
    assert rig.boots(server) == 5, "a hard reboot of a suspended guest starts it fresh"
    assert rig.invariants() == []

    do(rig, server, "SUSPENDED", "suspend")
    rig.delete(server)
    assert rig.left_of(server) == []
    assert saves(rig, "h1") == []


def test_a_guest_that_hears_no_acpi_is_ended_after_its_images_time(rig: Rig, boot: Boot) -> None:
    rig.openstack("image", "set", "--property", "os_shutdown_timeout=6", "tiny")
    try:
        server = boot("deaf", "h2", user_data=DEAF)
    finally:
        rig.openstack("image", "unset", "--property", "os_shutdown_timeout", "tiny")
    rig.guest_says(server, "deaf now")
    begun = time.monotonic()
    rig.openstack("server", "stop", server)
    rig.wait_status(server, "SHUTOFF")
    assert 6 <= time.monotonic() - begun < 50
    assert "power button" not in rig.console(server)


def test_a_suspend_without_room_for_the_memory_leaves_the_guest_running(rig: Rig, boot: Boot) -> None:
    server = boot("roomless", "h3")
    rig.run("h3", "mkdir", "-p", "/var/lib/libvirt/qemu/save")
    rig.run("h3", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/var/lib/libvirt/qemu/save")
    # libvirtd has the host's mounts: the host is one mount namespace
    try:
        before = rig.uptime(server)
        rig.openstack("server", "suspend", server)
        rig.wait_status(server, "ACTIVE")
        assert rig.uptime(server) > before
        assert rig.boots(server) == 1
        assert rig.where(server) == {"h3": "running"}
        assert saves(rig, "h3") == []
    finally:
        rig.run("h3", "umount", "/var/lib/libvirt/qemu/save")
    listed = rig.call("GET", f"/servers/{server}/os-instance-actions").json()["instanceActions"]
    assert (listed[0]["action"], listed[0]["message"]) == ("suspend", "Error")
    request = listed[0]["request_id"]
    events = rig.call("GET", f"/servers/{server}/os-instance-actions/{request}").json()["instanceAction"]["events"]
    assert any("suspending the guest" in (event["details"] or "") for event in events)
    do(rig, server, "SUSPENDED", "suspend")
    do(rig, server, "ACTIVE", "resume")
    assert rig.boots(server) == 1


def test_what_happens_behind_the_clouds_back_is_noticed(rig: Rig, boot: Boot) -> None:
    server = boot("willful", "h1")

    rig.virsh("h1", "shutdown", server, "--mode", "acpi")
    wait_power(rig, server, "SHUTOFF", SHUTDOWN)
    wait_for("the guest to be off", lambda: rig.where(server) == {"h1": "shut off"}, 60)
    assert actions(rig, server) == ["create"]

    rig.virsh("h1", "start", server)
    wait_for("the guest to be ended again", lambda: rig.where(server) == {"h1": "shut off"}, 180)
    wait_power(rig, server, "SHUTOFF", SHUTDOWN)
    assert actions(rig, server) == ["create", "stop"], "the policy is an action of its own"

    do(rig, server, "ACTIVE", "start")
    rig.virsh("h1", "suspend", server)
    wait_for("the pause to be seen", lambda: power_state(rig, server) == 3, 60)
    assert rig.server(server)["status"] == "ACTIVE"
    rig.virsh("h1", "resume", server)
    wait_power(rig, server, "ACTIVE", RUNNING)

    pid = re.findall(r"(\d+)", rig.run("h1", "pgrep", "-f", f"uuid {server}"))[0]
    rig.run("h1", "kill", "-9", pid)
    wait_power(rig, server, "SHUTOFF", CRASHED)

    do(rig, server, "ACTIVE", "start")
    rig.virsh("h1", "destroy", server)
    wait_power(rig, server, "SHUTOFF", SHUTDOWN)
    do(rig, server, "ACTIVE", "start")
    mark = len(rig.console(server))
    rig.virsh("h1", "destroy", server)
    rig.virsh("h1", "undefine", server)
    wait_power(rig, server, "SHUTOFF", NOSTATE)
    do(rig, server, "ACTIVE", "start")
    rig.guest_says(server, BOOTED, after=mark)
    assert rig.invariants() == []


def test_after_a_power_loss_guests_are_what_the_database_expects(rig: Rig, boot: Boot) -> None:
    runs, stopped, suspended = boot("runs", "h3"), boot("stopped", "h3"), boot("suspended", "h3")
    rescued, resized = boot("rescued", "h3"), boot("resized", "h1")
    do(rig, rescued, "RESCUE", "rescue")
    do(rig, resized, "VERIFY_RESIZE", "migrate", "--host", "h3")
    do(rig, stopped, "SHUTOFF", "stop")
    uptime = rig.uptime(suspended)
    do(rig, suspended, "SUSPENDED", "suspend")
    rig.crash("h3")
    rig.wait_down("h3")
    assert rig.server(runs)["status"] == "ACTIVE", "a power loss is not the user's wish"
    mark, marks = len(rig.console(runs, "h3")), {s: len(rig.console(s, "h3")) for s in (rescued, resized)}
    with timed("a host's way back, until its guest says so"):
        rig.start("h3")
        rig.guest_says(runs, BOOTED, after=mark)
    wait_power(rig, runs, "ACTIVE", RUNNING)
    assert rig.boots(runs) == 2
    assert actions(rig, runs) == ["create", "start"]
    for server, status in ((rescued, "RESCUE"), (resized, "VERIFY_RESIZE")):
        rig.wait_status(server, status)
        rig.guest_says(server, BOOTED, after=marks[server])
    assert "disk vdb " in rig.console(rescued)[marks[rescued] :], "from its rescue disk again"
    on = {runs: "running", rescued: "running", resized: "running"}
    assert rig.domains("h3") == {**on, stopped: "shut off", suspended: "shut off"}
    assert rig.server(stopped)["status"] == "SHUTOFF"
    assert rig.server(suspended)["status"] == "SUSPENDED"
    do(rig, suspended, "ACTIVE", "resume")
    assert rig.uptime(suspended) > uptime, "its memory outlived the power loss"
    assert rig.boots(suspended) == 1
    assert rig.invariants() == []
    do(rig, resized, "ACTIVE", "resize", "revert")
    assert rig.where(resized) == {"h1": "running"}


def test_a_worker_and_a_libvirtd_that_are_killed_change_no_guest(rig: Rig, boot: Boot) -> None:
    server = boot("steady", "h2")
    for process in ("compute", "libvirtd"):
        before = rig.uptime(server)
        rig.kill("h2", process)
        rig.wait_up("h2")
        assert rig.uptime(server) > before
    wait_power(rig, server, "ACTIVE", RUNNING)
    assert actions(rig, server) == ["create"]
