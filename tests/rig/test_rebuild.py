"""Rebuild, by the `openstack` client, seen from inside the guest and in libvirt."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.rig.rig import BOOTED, Rig
from tests.rig.timing import timed

pytestmark = [pytest.mark.rig, pytest.mark.real]

Boot = Callable[..., str]
FILES = ["console.log", "disk", "disk.config", "made.json"]


def net_of(rig: Rig, server: str) -> tuple[str, Any]:
    """The guest's address as it says itself, and MAC and address as the API shows them."""
    return re.findall(r"tiny: net (\S+)", rig.console(server))[-1], rig.server(server)["addresses"]


def hard_reboot(rig: Rig, server: str) -> None:
    """After it the guest was booted once more from its disk."""
    said = len(rig.console(server))
    rig.openstack("server", "reboot", "--hard", server)
    rig.wait_status(server, "ACTIVE")
    rig.guest_says(server, BOOTED, after=said)


def test_a_rebuild_makes_the_disk_anew_and_keeps_id_host_and_addresses(rig: Rig, boot: Boot) -> None:
    server = boot("remade", "h1")
    hard_reboot(rig, server)
    assert rig.boots(server) == 2
    before, said = net_of(rig, server), len(rig.console(server))
    with timed("rebuild"):
        rig.openstack("server", "rebuild", "--image", "tiny", "--name", "anew", "--property", "a=b", "--wait", server)
    shown = rig.wait_status(server, "ACTIVE")
    rig.guest_says(server, BOOTED, after=said)
    assert rig.boots(server) == 1, "the new disk was booted from before"
    assert net_of(rig, server) == before
    assert (shown["name"], shown["metadata"], rig.host_of(server)) == ("anew", {"a": "b"}, "h1")
    assert rig.where(server) == {"h1": "running"}
    assert rig.files("h1", server) == FILES
    assert rig.invariants() == []

    rig.openstack("server", "stop", server)
    rig.wait_status(server, "SHUTOFF")
    rig.openstack("server", "rebuild", "--image", "tiny", server)
    rig.wait_status(server, "SHUTOFF")
    assert rig.where(server) == {"h1": "shut off"}
    said = len(rig.console(server))
    rig.openstack("server", "start", server)
    rig.wait_status(server, "ACTIVE")
    rig.guest_says(server, BOOTED, after=said)
    assert rig.boots(server) == 1


def test_a_rebuild_that_fails_gives_the_old_disk_back(rig: Rig, boot: Boot) -> None:
    server = boot("kept", "h3")
    in_the_way = rig.directory("h3", server) / "disk.draft"
    (in_the_way / "here").mkdir(parents=True)  # where the new disk is made
    try:
        rig.openstack("server", "rebuild", "--image", "tiny", "--name", "anew", server)
        shown = rig.wait_status(server, "ACTIVE")
    finally:
        (in_the_way / "here").rmdir()
        in_the_way.rmdir()
    assert shown["name"] == "kept"
    rig.guest_says(server, r"boots=2")
    assert rig.count("instances.Fault", instance_id=server, message__contains="disk.draft") == 1
    assert rig.files("h3", server) == FILES
    assert rig.invariants() == []
