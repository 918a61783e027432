"""Damage made by hand in a cloud in a box, and the doctor called as an operator calls it."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import uuid
from pathlib import Path
from typing import Any

from django.core.management import call_command

from hypervisor import side_files
from instances.doctor.examination import Examination
from instances.models import Instance
from tests.operations.cloud_in_a_box import CloudInABox
from tests.operations.scenarios import World

ADDRESSES = {"h1": "192.0.2.1", "h2": "192.0.2.2"}
STRANGER = "99999999-9999-4999-8999-999999999999"  # an id that nobody knows


def doctor(box: CloudInABox, *arguments: str) -> tuple[int, dict[str, Any]]:
    """`manage.py doctor --json`: its exit status and report."""
    out, status = io.StringIO(), 0
    with box.working():
        try:
            call_command("doctor", "--json", *arguments, stdout=out, stderr=io.StringIO())
        except SystemExit as ended:
            status = int(ended.code or 0)
    return status, json.loads(out.getvalue())


def codes(report: dict[str, Any]) -> list[str]:
    return sorted(finding["code"] for finding in report["findings"])


def assert_repaired(world: World, *expected: str) -> dict[str, Any]:
    """Exactly these are found; looking changes nothing; all are repaired; and then nothing is wrong."""
    status, report = doctor(world.box)
    assert (status, codes(report)) == (1, sorted(expected)), report["findings"]
    assert not any(finding["fixed"] for finding in report["findings"])
    status, again = doctor(world.box, "--fix")
    assert (status, codes(again)) == (0, sorted(expected)), again["findings"]
    assert all(finding["fixed"] for finding in again["findings"])
    status, after = doctor(world.box)
    assert (status, after["findings"]) == (0, []), after["findings"]
    return report


def give_addresses(box: CloudInABox) -> None:
    """The hosts can reach each other, so that their networks have tunnels."""
    for name, address in ADDRESSES.items():
        box.configs[name] = dataclasses.replace(box.configs[name], host_ip=address)
        box.start_worker(name)
        box.beat(name)


def boot_on(world: World, host: str) -> None:
    """The world's instance is a new one, ACTIVE there."""
    action = world.boot()
    Instance.objects.filter(pk=world.instance_id).update(forced_host=host)
    world.box.recover()
    world.assert_succeeded(action)
    assert world.instance().host == host


def driver(world: World, host: str = "") -> Any:
    return world.box.executors[host or world.instance().host].driver


def state_dir(world: World, host: str = "") -> Path:
    return world.box.configs[host or world.instance().host].state_dir


def other_host(world: World) -> str:
    return next(name for name in world.box.executors if name != world.instance().host)


def copy_domain(world: World, to_id: str, to_host: str = "", **changes: Any) -> None:
    """A domain as the instance's, under another id or on another host: as `virsh define` would make it."""
    note = driver(world).lifecycle.note(str(world.instance_id))
    path = state_dir(world, to_host) / "simulated" / "domains" / f"{to_id}.json"
    side_files.write(path, {**note, "name": f"instance-{to_id}", **changes})


def copy_directory(world: World, to_id: str) -> Path:
    instances = state_dir(world) / "instances"
    shutil.copytree(instances / str(world.instance_id), instances / to_id)
    return instances / to_id


def plug_stranger(world: World) -> None:
    """A port record on the instance's host of a port that no row has."""
    networks = state_dir(world) / "simulated" / "networks"
    (record,) = networks.rglob("*/*.json")
    port = str(uuid.uuid4())
    stray = {"port_id": port, "instance_id": STRANGER, "mac": "52:54:00:00:00:99", "ip": "10.77.0.99"}
    side_files.write(record.with_name(f"{port}.json"), {**(side_files.read(record) or {}), **stray})


def wrong(box: CloudInABox, examination: Examination) -> list[tuple[str, str]]:
    """What was found, but for the hosts that have no power."""
    found = [(finding.code.name, finding.detail) for finding in examination.findings]
    return [pair for pair in found if pair not in [("host.down", f"Host {name} is down.") for name in box.off]]
