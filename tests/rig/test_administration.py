"""Locks, states set by an operator, passwords, many at once, and deletes that are kept for a while, on real hosts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.rig.rig import TICK, Rig
from tests.rig.timing import timed
from tests.running_cloud import wait_for

pytestmark = [pytest.mark.rig, pytest.mark.real]

Boot = Callable[..., str]
AS_MEMBER = ("--os-username", "mina", "--os-password", "m1na", "--os-project-name", "admin")


@pytest.fixture(scope="module")
def member(rig: Rig) -> None:
    """A user of the project who is no admin."""
    rig.openstack("user", "create", "--project", "admin", "--password", "m1na", "mina")
    rig.openstack("role", "add", "--project", "admin", "--user", "mina", "member")


def test_a_lock_keeps_members_out_and_says_why(rig: Rig, boot: Boot, member: None) -> None:
    server = boot("locked", "h1")
    rig.openstack("server", "lock", "--reason", "do not touch", server)
    assert rig.server(server)["locked_reason"] == "do not touch"
    assert "is locked" in rig.openstack(*AS_MEMBER, "server", "stop", server, status=1)
    assert "admin" in rig.openstack(*AS_MEMBER, "server", "unlock", server, status=1)
    rig.guest_says(server, TICK, after=len(rig.console(server)))
    rig.openstack("server", "unlock", server)
    rig.openstack(*AS_MEMBER, "server", "pause", server)
    rig.wait_status(server, "PAUSED")
    assert rig.where(server) == {"h1": "paused"}


def test_the_guests_agent_changes_a_password_and_one_that_is_not_there_is_named(rig: Rig, boot: Boot) -> None:
    server = boot("secret", "h3")
    domain = f"instance-{server}"
    wait_for("the guest's agent", lambda: "state='connected'" in rig.virsh("h3", "dumpxml", domain), timeout=120)
    with timed("change password"):
        rig.openstack("server", "set", "--password", "correct-horse", server)
        rig.guest_says(server, "password of root set")
    rig.wait_status(server, "ACTIVE")
    assert rig.count("workflow.Action", parameters__password__isnull=False) == 0
    rig.openstack("image", "unset", "--property", "hw_qemu_guest_agent", "tiny")
    try:
        without = boot("no-agent", "h3", is_booted=False)
        refused = rig.openstack("server", "set", "--password", "x", without, status=1)
        assert "hw_qemu_guest_agent=yes" in refused
    finally:
        rig.openstack("image", "set", "--property", "hw_qemu_guest_agent=yes", "tiny")


def test_an_operator_sets_a_state_and_the_guest_is_not_touched(rig: Rig, boot: Boot) -> None:
    server = boot("reset", "h2")
    rig.openstack("server", "set", "--state", "error", "--auto-approve", server)
    assert rig.status_of(server) == "ERROR"
    assert rig.where(server) == {"h2": "running"}
    rig.openstack("server", "set", "--state", "active", "--auto-approve", server)
    assert rig.status_of(server) == "ACTIVE"
    rig.guest_says(server, TICK, after=len(rig.console(server)))


def test_many_at_once_spread_over_the_hosts_each_with_an_address_of_its_own(rig: Rig) -> None:
    rig.openstack(
        *("server", "create", "--image", "tiny", "--flavor", "m1.nano", "--network", "shared"),
        *("--min", "3", "--max", "3", "--wait", "crew"),
    )
    listed = rig.openstack_json("server", "list", "--name", "crew")
    try:
        assert {row["Name"] for row in listed} == {"crew-1", "crew-2", "crew-3"}
        assert {row["Status"] for row in listed} == {"ACTIVE"}
        assert len({str(row["Networks"]) for row in listed}) == 3
        assert all(list(rig.where(row["ID"]).values()) == ["running"] for row in listed)
        assert rig.invariants() == []
    finally:
        rig.delete(*(row["ID"] for row in listed))


def test_what_was_deleted_softly_is_off_and_hidden_and_comes_back(rig: Rig, boot: Boot) -> None:
    server = boot("phoenix", "h1")
    with rig.setting(RECLAIM_INSTANCE_INTERVAL="3600"):
        comes_back(rig, server)


def comes_back(rig: Rig, server: str) -> None:
    rig.openstack("server", "delete", server)
    rig.wait_status(server, "SOFT_DELETED")
    assert server not in rig.openstack("server", "list", "-f", "value", "-c", "ID")
    assert rig.where(server) == {"h1": "shut off"}
    assert "disk" in rig.files("h1", server)
    said = len(rig.console(server))
    rig.openstack("server", "restore", server)
    rig.wait_status(server, "ACTIVE")
    rig.guest_says(server, "boots=2", after=said)
    rig.openstack("server", "delete", "--force", "--wait", server)
    assert rig.left_of(server) == []
