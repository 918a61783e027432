"""The doctor on real hosts: nothing is wrong until something is damaged by hand, and nothing is after its repair."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.rig.rig import BOOTED, Rig
from tests.rig.timing import timed
from tests.running_cloud import wait_for

pytestmark = [pytest.mark.rig, pytest.mark.real]

Boot = Callable[..., str]

_LEAK = (
    "import uuid; from scheduling.models import Allocation; from scheduling.services import recount_usage; "
    "Allocation.objects.create(consumer=uuid.uuid4(), host='h2', vcpus=1, memory_mib=64, disk_gib=1, "
    "action_id=uuid.uuid4()); recount_usage()"
)


def doctor(rig: Rig, *arguments: str) -> dict[str, Any]:
    """`manage.py doctor --json`: its report. What it says on stderr comes before."""
    with timed(f"doctor {' '.join(arguments)}"):
        said = rig.kilonova("manage", "doctor", "--json", *arguments, check=False)
    return json.loads(said[re.search(r"^\{$", said, re.M).start() :])  # type: ignore[no-any-return, union-attr]


def codes(report: dict[str, Any]) -> list[str]:
    return sorted(finding["code"] for finding in report["findings"])


def stranger_of(rig: Rig, host: str, server: str) -> str:
    """A guest that runs on `host` and that nobody knows, with a disk of its own: a copy of the server's."""
    stranger = str(uuid.uuid4())
    shutil.copytree(rig.directory(host, server), rig.directory(host, stranger))
    xml = rig.virsh(host, "dumpxml", "--inactive", server).replace(server, stranger)
    xml = re.sub(r"<interface .*?</interface>", "", xml, flags=re.S)
    definition = rig.directory(host, stranger) / "domain.xml"
    definition.write_text(xml)
    rig.virsh(host, "define", str(definition))
    rig.virsh(host, "start", stranger)
    definition.unlink()
    return stranger


def tunnel_of(rig: Rig, host: str) -> str:
    """The host's one tunnel, which its network gets when it is told that another host has it too."""

    def found() -> list[str]:
        return re.findall(r"\bkv-[0-9a-f]+", rig.run(host, "ip", "-o", "link", "show", "type", "vxlan"))

    wait_for(f"a tunnel on {host}", lambda: len(found()) == 1)
    return found()[0]


def test_damage_made_by_hand_is_found_repaired_and_gone(rig: Rig, boot: Boot) -> None:
    well, lost = boot("well", "h3"), boot("lost", "h1")
    report = doctor(rig)
    assert (report["findings"], [host["state"] for host in report["hosts"]]) == ([], ["answered"] * 3)

    stranger = stranger_of(rig, "h3", well)
    rig.virsh("h1", "undefine", lost)
    rig.virsh("h1", "destroy", lost)
    rig.manage("shell", "-c", _LEAK)
    wait_for("its owner to see that it is off", lambda: rig.status_of(lost) == "SHUTOFF")
    tunnel = tunnel_of(rig, "h1")
    rig.run("h1", "ip", "link", "delete", tunnel)
    expected = ["allocation.leaked", "disk.orphan", "guest.missing", "guest.orphan", "tunnel.missing"]
    assert codes(doctor(rig)) == expected

    report = doctor(rig, "--fix")
    assert codes(report) == expected
    assert all(finding["fixed"] for finding in report["findings"]), report["findings"]
    assert doctor(rig)["findings"] == []

    assert tunnel_of(rig, "h1") == tunnel
    assert rig.where(stranger) == {}
    aside = rig.host("h3").instances / "set-aside"
    assert {"disk", "disk.config", "made.json"} <= {path.name for path in (aside / stranger).iterdir()}
    shutil.rmtree(aside)
    assert rig.where(well) == {"h3": "running"}
    assert rig.where(lost) == {"h1": "shut off"}
    said = len(rig.console(lost))
    rig.openstack("server", "start", lost)
    rig.wait_status(lost, "ACTIVE")
    rig.guest_says(lost, BOOTED, after=said)
    assert rig.boots(lost) == 2, "it has the disk that it had"
    assert rig.invariants() == []


def test_a_cloud_at_work_and_a_host_without_power(rig: Rig, boot: Boot) -> None:
    """While a guest is booted anew and moved nothing is wrong; of a host that is down only that is said."""
    server = boot("busy", "h1")
    rig.openstack("server", "reboot", "--hard", server)
    assert doctor(rig)["findings"] == []
    rig.wait_status(server, "ACTIVE")
    rig.guest_says(server, BOOTED)
    assert rig.act(server, "os-migrateLive", {"host": "h2", "block_migration": "auto"}).status_code == 202
    for _ in range(3):
        assert doctor(rig)["findings"] == []
    rig.wait_status(server, "ACTIVE")
    assert doctor(rig)["findings"] == []
    rig.crash("h3")
    try:
        rig.wait_down("h3")
        report = doctor(rig)
        assert codes(report) == ["host.down"]
        assert {"name": "h3", "state": "down"} in report["hosts"]
    finally:
        rig.start("h3")
