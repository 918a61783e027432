"""Every field that a host is told has an effect on what the libvirt driver builds, or a reason here why it has none."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from hypervisor import config_drive
from hypervisor.driver import BaseImage
from hypervisor.instance_files import disk_bytes
from hypervisor.libvirt.xml.domain import domain
from hypervisor.libvirt.xml.network import network
from hypervisor.spec import GuestSpec
from tests.unit.hypervisor_drivers.test_golden_xml import GUEST, MAKER, PATHS, QEMU, RESCUE

BASE = BaseImage(path="/base", disk_format="qcow2", virtual_size_bytes=1)

# Field → another value that must change what is built.
CHANGED: dict[str, Any] = {
    "instance_id": "7c8e2c3e-1b0a-4a53-9a58-000000000002",
    "name": "instance-00000002",
    "display_name": "db",
    "hostname": "db-1",
    "project_id": "f" * 32,
    "vcpus": 4,
    "memory_mib": 4096,
    "disk_gib": 40,
    "image.id": "3f1c7e9a-0000-4000-8000-000000000002",
    "nics.port_id": "cc11bb22-cc33-4d44-8e55-ff6677889900",
    "nics.mac": "fa:16:3e:00:00:99",
    "nics.ip": "10.0.0.99",
    "nics.network.id": "0d5bd0aa-3333-4222-8333-444444444444",
    "nics.network.bridge": "kn-0d5bd0aa3333",
    "nics.network.mode": "isolated",
    "nics.network.cidr": "10.0.0.0/16",
    "nics.network.gateway_ip": "10.0.0.254",
    "nics.network.mtu": 9000,
    "nics.network.dns": (),
    "nics.network.dhcp": False,
    "config_drive.meta_data": {"uuid": "other"},
    "config_drive.network_data": {},
    "config_drive.user_data_b64": None,
    "rescue": RESCUE,
}

# Field → why no definition, disk or config drive depends on it.
UNREAD = {
    "image.name": "people read it in logs of the conductor; a host goes by id and checksum",
    "image.disk_format": "the cache inspects it and passes it on as the base's format",
    "image.size_bytes": "the cache checks it",
    "image.virtual_size_bytes": "the cache checks it",
    "image.sha512": "the cache checks it and goes by it",
    "image.url": "the cache downloads from it",
    "image.properties": "no property concerns a host yet; the API reads os_shutdown_timeout",
    "nics.prefix": "the network's cidr says it",
    "nics.network.name": "only errors name it, so a renamed network is not rebuilt",
    "nics.network.vni": "the tunnel is made of it, beside libvirt's network",
    "extra_specs": "no extra spec concerns a host yet; the scheduler reads them",
}


def leaves(value: Any, prefix: str = "") -> list[str]:
    """Names of all fields below `value`; a tuple's by its first item."""
    names = []
    for field in dataclasses.fields(value):
        inner = getattr(value, field.name)
        inner = inner[0] if isinstance(inner, tuple) and inner and dataclasses.is_dataclass(inner[0]) else inner
        name = f"{prefix}{field.name}"
        names += leaves(inner, f"{name}.") if dataclasses.is_dataclass(inner) else [name]
    return names


def change(value: Any, path: str, new: Any) -> Any:
    """`value` with the field at `path` changed."""
    name, _, rest = path.partition(".")
    if not rest:
        return dataclasses.replace(value, **{name: new})
    inner = getattr(value, name)
    if isinstance(inner, tuple):
        return dataclasses.replace(value, **{name: (change(inner[0], rest, new), *inner[1:])})
    return dataclasses.replace(value, **{name: change(inner, rest, new)})


def built(guest: GuestSpec) -> list[Any]:
    """All that a host makes of a guest."""
    assert guest.config_drive is not None
    return [
        domain(guest, MAKER, PATHS, QEMU),
        *(network(nic.network, [(nic.mac, nic.ip)]) for nic in guest.nics),
        config_drive.build(guest.config_drive),
        disk_bytes(guest, BASE),
    ]


def test_every_field_is_listed_once() -> None:
    assert sorted(leaves(GUEST)) == sorted([*CHANGED, *UNREAD])


@pytest.mark.parametrize("path", CHANGED)
def test_a_field_that_is_read_changes_what_is_built(path: str) -> None:
    assert built(change(GUEST, path, CHANGED[path])) != built(GUEST)


@pytest.mark.parametrize("path", UNREAD)
def test_a_field_that_is_not_read_changes_nothing(path: str) -> None:
    value: Any = GUEST
    for name in path.split("."):
        value = getattr(value, name)
        value = value[0] if isinstance(value, tuple) else value
    other = {str: f"{value}x", int: 1, dict: {"other": "value"}}[type(value)]
    assert built(change(GUEST, path, other)) == built(GUEST)
