"""Images made from servers, on real hosts: what the guest had on its disk is in them, and the guest did not notice."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.rig.actions import failed_with
from tests.rig.rig import BOOTED, TICK, Rig
from tests.running_cloud import wait_for

pytestmark = [pytest.mark.rig, pytest.mark.real]

Boot = Callable[..., str]
# The guest writes a line twenty times a second, so that a pause can be seen from outside.
RESTLESS = """#!/bin/sh
(while usleep 50000; do echo "tiny: here"; done) >/dev/console 2>&1 &
"""


@contextmanager
def silence_of(log: Path) -> Iterator[list[float]]:
    """Measures the longest time, in seconds, in which the console log did not grow; in the list when it is over."""
    over, longest, result = threading.Event(), [0.0], []

    def watch() -> None:
        size, seen = log.stat().st_size, time.monotonic()
        while not over.wait(0.005):
            now, found = time.monotonic(), log.stat().st_size
            if found != size:
                longest[0] = max(longest[0], now - seen)
                size, seen = found, now

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield result
    finally:
        over.set()
        watcher.join()
        result.append(longest[0])


def images_of(rig: Rig, server: str) -> dict[str, dict[str, Any]]:
    """Name → image, of those made from the server."""
    rows = rig.openstack_json("image", "list", "--property", f"instance_uuid={server}", "--long")
    return {row["Name"]: row for row in rows}


def delete_images(rig: Rig, *names: str) -> None:
    rig.openstack("image", "delete", *names)


@contextmanager
def no_image_store(rig: Rig) -> Iterator[None]:
    """While inside it the image service can keep nothing."""
    store = rig.state_dir / "images"
    aside = store.with_name("images-aside")
    store.rename(aside)
    store.write_text("in the way")
    try:
        yield
    finally:
        store.unlink()
        aside.rename(store)


def steps_of(rig: Rig, server: str, action: str) -> list[dict[str, Any]]:
    """The steps of the server's latest action of that name."""
    actions = rig.call("GET", f"/servers/{server}/os-instance-actions").json()["instanceActions"]
    request = next(row["request_id"] for row in actions if row["action"] == action)
    shown = rig.call("GET", f"/servers/{server}/os-instance-actions/{request}").json()
    return sorted(shown["instanceAction"]["events"], key=lambda step: step["start_time"])


def say_times(rig: Rig, server: str, *actions: str) -> None:
    """Prints how long each step took."""
    for action in actions:
        times = []
        for step in steps_of(rig, server, action):
            begun, ended = (datetime.fromisoformat(step[name]) for name in ("start_time", "finish_time"))
            times.append(f"{step['event']} {(ended - begun).total_seconds() * 1000:.0f} ms")
        print(f"\n{action}: {', '.join(times)}")


def source_of(rig: Rig, host: str, server: str) -> str:
    """The file that the guest's vda is on now."""
    listed = rig.virsh(host, "domblklist", server)
    return next(line.split()[1] for line in listed.splitlines() if line.split()[:1] == ["vda"])


def test_a_live_snapshot_has_the_disk_and_the_guest_goes_on(rig: Rig, boot: Boot) -> None:
    server = boot("snapped", "h3", user_data=RESTLESS)
    disk, files = source_of(rig, "h3", server), rig.files("h3", server)
    log = rig.directory("h3", server) / "console.log"
    with silence_of(log) as usual:  # without a snapshot: how long this machine lets any guest wait, over three ticks
        for _ in range(3):
            rig.uptime(server)
    before, began = rig.uptime(server), time.monotonic()
    with silence_of(log) as during:
        rig.openstack("server", "image", "create", "--wait", "--name", "snap", server)
    took = time.monotonic() - began
    print(
        f"\nlive snapshot: {took:.1f} s by the client; longest silence {during[0] * 1000:.0f} ms, without one "
        f"{usual[0] * 1000:.0f} ms"
    )
    say_times(rig, server, "createImage")
    assert rig.server(server)["OS-EXT-STS:task_state"] is None, (
        "the image is active when the server is idle, not before"
    )
    assert rig.uptime(server) > before
    assert rig.boots(server) == 1
    assert source_of(rig, "h3", server) == disk
    assert rig.files("h3", server) == files
    assert during[0] < 2.0
    image = rig.openstack_json("image", "show", "snap")
    assert image["status"] == "active"
    assert (image["disk_format"], image["min_disk"]) == ("qcow2", 1)
    wanted = {"image_type": "snapshot", "instance_uuid": server, "image_location": "snapshot"}
    assert wanted.items() <= image["properties"].items()
    again = boot("from-snap", "h1", image="snap")
    assert rig.boots(again) == 2
    delete_images(rig, "snap")
    assert rig.invariants() == []


def test_backups_are_rotated_also_of_a_server_that_is_off(rig: Rig, boot: Boot) -> None:
    server = boot("kept", "h2")
    rig.openstack("server", "backup", "create", "--wait", "--name", "b1", "--type", "daily", "--rotate", "2", server)
    rig.openstack("server", "stop", server)
    rig.wait_status(server, "SHUTOFF")
    for name in ("b2", "b3"):
        rig.openstack(
            "server", "backup", "create", "--wait", "--name", name, "--type", "daily", "--rotate", "2", server
        )
        rig.wait_status(server, "SHUTOFF")
    assert set(images_of(rig, server)) == {"b2", "b3"}
    delete_images(rig, "b2", "b3")


def test_a_shelved_server_has_nothing_on_any_host_and_comes_back_on_another_with_its_disk_and_address(
    rig: Rig, boot: Boot
) -> None:
    server = boot("shelved", "h3")
    addresses = rig.server(server)["addresses"]
    began = time.monotonic()
    rig.openstack("server", "shelve", "--wait", server)
    rig.wait_status(server, "SHELVED_OFFLOADED")
    shelved = time.monotonic() - began
    assert rig.where(server) == {}
    assert [rig.files(host, server) for host in rig.hosts] == [[], [], []]
    assert server not in rig.allocations()
    assert rig.server(server)["addresses"] == addresses
    assert list(images_of(rig, server)) == ["shelved-shelved"]
    began = time.monotonic()
    rig.openstack("server", "unshelve", "--wait", "--host", "h1", server)
    unshelved = time.monotonic() - began
    print(f"\nshelve and offload {shelved:.1f} s, unshelve {unshelved:.1f} s by the client")
    rig.wait_status(server, "ACTIVE")
    say_times(rig, server, "shelve", "shelveOffload", "unshelve")
    assert rig.where(server) == {"h1": "running"}
    rig.guest_says(server, BOOTED)
    assert rig.boots(server) == 2
    assert rig.server(server)["addresses"] == addresses
    assert images_of(rig, server) == {}
    # What stands on the shelved image's base goes on without the image.
    rig.openstack("server", "reboot", "--hard", "--wait", server)
    wait_for("a third boot", lambda: rig.boots(server) == 3, 300)
    assert rig.invariants() == []


def test_an_image_that_the_image_service_refuses_leaves_the_guest_and_nothing_else(rig: Rig, boot: Boot) -> None:
    server = boot("unlucky", "h1")
    disk, files = source_of(rig, "h1", server), rig.files("h1", server)
    for verb, body in (
        ("createImage", {"name": "never"}),
        ("createBackup", {"name": "never", "backup_type": "daily", "rotation": 1}),
    ):
        with no_image_store(rig):
            rig.act(server, verb, body)
            rig.wait_status(server, "ACTIVE")
        assert images_of(rig, server) == {}
        assert "store cannot be written" in failed_with(rig, server)
    assert source_of(rig, "h1", server) == disk
    assert rig.files("h1", server) == files
    rig.guest_says(server, TICK, after=len(rig.console(server)))
    assert "<mirror" not in rig.virsh("h1", "dumpxml", server)
    assert rig.invariants() == []


def test_a_worker_killed_in_the_middle_of_a_live_snapshot_makes_it_after_all(rig: Rig, boot: Boot) -> None:
    server = boot("killed", "h2")
    disk = source_of(rig, "h2", server)
    answer = rig.act(server, "createImage", {"name": "after-all"})
    image = answer.json()["image_id"]
    wait_for("the copy", lambda: re.search(r"snapshot\.[0-9a-f]", " ".join(rig.files("h2", server))), 60)
    rig.kill("h2", "compute")
    rig.wait_status(server, "ACTIVE")
    assert rig.openstack_json("image", "show", image)["status"] == "active"
    assert source_of(rig, "h2", server) == disk
    assert not [name for name in rig.files("h2", server) if "snapshot" in name]
    assert rig.boots(server) == 1
    delete_images(rig, "after-all")


def test_a_shelve_and_an_unshelve_that_fail_leave_the_server_as_it_was(rig: Rig, boot: Boot) -> None:
    server = boot("stubborn", "h1")
    with no_image_store(rig):
        rig.act(server, "shelve")
        rig.wait_status(server, "ACTIVE")
    assert "store cannot be written" in failed_with(rig, server)
    assert images_of(rig, server) == {}
    assert rig.where(server) == {"h1": "running"}
    wait_for("a second boot", lambda: rig.boots(server) == 2, 300)
    rig.act(server, "shelve")
    rig.wait_status(server, "SHELVED_OFFLOADED")
    (image,) = images_of(rig, server).values()
    stored = rig.state_dir / "images" / image["ID"]
    good = stored.read_bytes()
    stored.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    rig.act(server, "unshelve")
    rig.wait_status(server, "SHELVED_OFFLOADED")
    assert "another SHA-512" in failed_with(rig, server)
    assert list(images_of(rig, server)) == ["stubborn-shelved"]
    assert rig.where(server) == {}
    assert [rig.files(host, server) for host in rig.hosts] == [[], [], []]
    assert rig.invariants() == []
    stored.write_bytes(good)
    rig.act(server, "unshelve")
    rig.wait_status(server, "ACTIVE")
    wait_for("a third boot", lambda: "boots=3" in rig.console(server), 300)
    assert images_of(rig, server) == {}
