"""Rescue and unrescue, by the `openstack` client, seen from inside the guest and in libvirt."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.rig.rig import BOOTED, Rig
from tests.rig.timing import timed

pytestmark = [pytest.mark.rig, pytest.mark.real]

Boot = Callable[..., str]
FILES = ["console.log", "disk", "disk.config", "made.json"]
RESCUE_FILES = ["disk.rescue", "disk.rescue.config", "rescue.json"]
PASSWORD = "rescue-me-8fd1c2"


def test_a_rescued_guest_boots_from_another_disk_beside_its_own_and_goes_back_to_it(rig: Rig, boot: Boot) -> None:
    server = boot("saved", "h2")
    said = len(rig.console(server))
    with timed("rescue"):
        rig.openstack("server", "rescue", "--password", PASSWORD, server)
        rig.wait_status(server, "RESCUE")
    rig.guest_says(server, BOOTED, after=said)
    console = rig.console(server)[said:]
    disks = dict(re.findall(r"tiny: disk (vd.) .*serial=(\S+)", console))
    assert disks == {"vda": f"rescue-{server}"[:20], "vdb": server[:20]}
    assert "admin password given" in console
    assert rig.boots(server) == 1, "it is the rescue disk that counts"
    assert rig.files("h2", server) == sorted([*FILES, *RESCUE_FILES])
    assert rig.invariants() == []
    assert rig.count("workflow.Action", target_id=server, parameters__has_key="sealed_password") == 0
    assert rig.count("workflow.Action", target_id=server, leg__isnull=False) == 0
    logs = [*(rig.host("h2").directory / "logs").glob("*"), *(rig.plan.cloud_dir / "logs").glob("*")]
    assert [log.name for log in logs if PASSWORD in log.read_text(errors="replace")] == []

    said = len(rig.console(server))
    with timed("unrescue"):
        rig.openstack("server", "unrescue", server)
        rig.wait_status(server, "ACTIVE")
    rig.guest_says(server, r"boots=2", after=said)
    rig.guest_says(server, BOOTED, after=said)
    assert "admin password given" not in rig.console(server)[said:]
    assert "disk vdb " not in rig.console(server)[said:]
    assert rig.files("h2", server) == FILES

    # one that fails gives the guest back as it was
    in_the_way = rig.directory("h2", server) / "disk.rescue.draft"
    (in_the_way / "here").mkdir(parents=True)  # where the rescue disk is made
    try:
        rig.openstack("server", "rescue", server)
        rig.wait_status(server, "ACTIVE")
    finally:
        (in_the_way / "here").rmdir()
        in_the_way.rmdir()
    rig.guest_says(server, r"boots=3")
    assert rig.files("h2", server) == FILES
    assert rig.count("instances.Fault", instance_id=server, message__contains="disk.rescue.draft") == 1

    # a delete of a rescued server leaves nothing
    rig.openstack("server", "rescue", server)
    rig.wait_status(server, "RESCUE")
    rig.delete(server)
    assert rig.left_of(server) == []
