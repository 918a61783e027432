"""Resize on real hosts: storages apart, so that the disk goes through libvirt; one guest from beginning to end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.rig.actions import last_action
from tests.rig.moves import disk_bytes, everywhere, kept, only, report_time
from tests.rig.rig import WRITER, Rig

pytestmark = [pytest.mark.rig, pytest.mark.real]

Boot = Callable[..., str]
GIB = 1024**3


def goes_on(rig: Rig, server: str, boots: int) -> tuple[int, int]:
    """(the number after which its disk goes on, numbers that are missing on it), as the guest says at the boot which
    that disk counts as so many."""
    found = rig.guest_says(server, rf"boots={boots}\b[\s\S]*?numbers go on after (\d+), lost (\d+)")
    return int(found[1]), int(found[2])


def test_a_resize_to_another_storage_is_reverted_and_then_confirmed(rig: Rig, boot: Boot) -> None:
    server = boot("resized", "h1", user_data=WRITER)
    address = rig.server(server)["addresses"]
    rig.guest_says(server, r"number 3\b")

    with only(rig, "h3"):
        rig.openstack("server", "resize", "--flavor", "m1.micro", "--wait", server)
    report_time(rig, server, "resize, other storage")
    shown = rig.wait_status(server, "VERIFY_RESIZE")
    assert (rig.host_of(server), shown["flavor"]["original_name"]) == ("h3", "m1.micro")
    assert shown["addresses"] == address
    assert rig.where(server) == {"h3": "running"}
    assert disk_bytes(rig, "h3", server) == 2 * GIB
    at_source = int(rig.allocations()[next(iter(rig.records().moves))]["h1"][0])
    assert at_source == 1, "the source's room is held by the migration"
    assert rig.invariants() == []
    assert len(kept(rig, "h1", server)) == 1
    first_after, lost = goes_on(rig, server, 2)
    assert lost == 0
    assert first_after >= 3
    rig.guest_says(server, rf"number {first_after + 5}\b")

    rig.openstack("server", "resize", "revert", server)
    shown = rig.wait_status(server, "ACTIVE")
    report_time(rig, server, "revert, other storage")
    assert (rig.host_of(server), shown["flavor"]["original_name"]) == ("h1", "m1.nano")
    assert shown["addresses"] == address
    assert rig.where(server) == {"h1": "running"}
    assert everywhere(rig, server) == {"h1": [server], "h2": [server]}, "h1 and h2 are one storage; h3 has nothing"
    assert goes_on(rig, server, 2) == (first_after, 0), "the disk is as it was: what was written at h3 is not on it"
    assert rig.invariants() == []

    with only(rig, "h3"):
        rig.openstack("server", "resize", "--flavor", "m1.micro", "--wait", server)
    rig.openstack("server", "resize", "confirm", server)
    rig.wait_status(server, "ACTIVE")
    report_time(rig, server, "confirm, other storage")
    assert everywhere(rig, server) == {"h3": [server]}
    assert rig.where(server) == {"h3": "running"}
    assert list(rig.allocations()[server]) == ["h3"]
    assert goes_on(rig, server, 3)[1] == 0
    assert rig.invariants() == []
    statuses = [row["Status"] for row in rig.openstack_json("server", "migration", "list", "--server", server)]
    assert sorted(statuses) == ["confirmed", "reverted"]


def test_a_resize_that_fails_at_the_destination_leaves_the_guest_where_it_was(rig: Rig, boot: Boot) -> None:
    server = boot("stays", "h1")
    in_the_way = rig.directory("h3", server)
    in_the_way.write_text("not a directory")
    try:
        with only(rig, "h3"):
            rig.openstack("server", "resize", "--flavor", "m1.micro", server)
            shown = rig.wait_status(server, "ACTIVE")
    finally:
        in_the_way.unlink()
    assert (rig.host_of(server), shown["flavor"]["original_name"]) == ("h1", "m1.nano")
    assert last_action(rig, server)["message"] == "Error"
    assert any("cannot be made" in (event["details"] or "") for event in last_action(rig, server)["events"])
    assert rig.where(server) == {"h1": "running"}
    assert everywhere(rig, server) == {"h1": [server], "h2": [server]}
    assert list(rig.allocations()[server]) == ["h1"]
    rig.guest_says(server, r"boots=2\b")  # it was stopped, and runs again on its disk
    assert rig.invariants() == []
