"""What a host is told about a guest: plain frozen data, the same on the conductor and on the host.

`instances.guest_spec` makes it from rows; drivers see nothing else. Sizes say their unit in their name.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import types
import typing
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, TypeVar


@dataclass(frozen=True, kw_only=True)
class ImageSource:
    """Where an image's bytes are and what they must be. `url` is signed and lives as long as the action."""

    id: str
    name: str
    disk_format: str  # "qcow2" | "raw"
    size_bytes: int
    virtual_size_bytes: int
    sha512: str
    url: str
    properties: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """One network as a host builds it: a bridge, its gateway address, NAT to the outside or not."""

    id: str
    name: str
    bridge: str  # "kn-" and the first twelve hex digits of the id
    mode: str  # "nat" | "isolated"
    cidr: str  # "10.0.0.0/24"
    gateway_ip: str | None
    mtu: int
    dns: tuple[str, ...] = ()
    dhcp: bool = True
    vni: int = 0  # VXLAN's number of the network, the same on all hosts; 0: it stays on one host


@dataclass(frozen=True, kw_only=True)
class ReachSpec:
    """Which hosts have ports of a network. It changes with what others do, so it is not part of a guest's spec."""

    network: NetworkSpec
    version: int  # counts the changes of the network's hosts: a host keeps the highest that it was told
    addresses: tuple[str, ...]  # of all hosts of the network, the one that is told included


def is_reachable(address: str) -> bool:
    """Whether other hosts could reach a host at `address`: it is one, and neither loopback nor unspecified."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (parsed.is_loopback or parsed.is_unspecified)


def reach_each_other(address: str, other: str) -> bool:
    """Whether hosts at these addresses could: both are reachable, and of one kind."""
    both = is_reachable(address) and is_reachable(other)
    return both and ipaddress.ip_address(address).version == ipaddress.ip_address(other).version


@dataclass(frozen=True, kw_only=True)
class NicSpec:
    """One port of the guest: its MAC and the address that DHCP must give it."""

    port_id: str
    mac: str
    ip: str
    prefix: int
    network: NetworkSpec


@dataclass(frozen=True, kw_only=True)
class ConfigDrive:
    """Content of the config drive, OpenStack format: files under `openstack/latest/`."""

    meta_data: dict[str, Any]
    network_data: dict[str, Any]
    user_data_b64: str | None = None


@dataclass(frozen=True, kw_only=True)
class GuestSpec:
    """One guest, complete: a driver builds it from this alone."""

    instance_id: str
    name: str  # libvirt's domain name, unique on every host
    display_name: str
    hostname: str
    project_id: str
    vcpus: int
    memory_mib: int
    disk_gib: int  # 0: as large as the image
    image: ImageSource
    nics: tuple[NicSpec, ...]
    config_drive: ConfigDrive | None
    extra_specs: dict[str, str] = field(default_factory=dict)
    rescue: ImageSource | None = None  # a rescued guest boots from a disk of this image, beside its own


@dataclass(frozen=True, kw_only=True)
class Maker:
    """Who makes a thing: the action and the digest of the step's inputs. Written on what is made (rule R10)."""

    action_id: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class HostInventory:
    """What a host offers, as its driver sees it. `storage_id`: equal ids mean shared storage."""

    vcpus: int
    memory_mib: int
    disk_gib: int
    memory_mib_used: int
    disk_gib_free: int
    storage_id: str
    hypervisor_type: str  # "QEMU" | "KVM" | "simulated"
    hypervisor_version: int  # as libvirt packs it: 7002000 is 7.2.0
    architecture: str
    cpu_info: dict[str, Any] = field(default_factory=dict)
    hostname: str = ""
    host_ip: str = ""
    boot_id: str = ""  # another after each boot of the machine, and only then (`hypervisor.boot_id`); "": not known


@dataclass(frozen=True, kw_only=True)
class GuestState:
    """One guest as the hypervisor sees it now."""

    instance_id: str
    power_state: int  # OpenStack's numbers: 0 nostate, 1 running, 3 paused, 4 shutdown, 6 crashed, 7 suspended
    action_id: str = ""
    # Why it is off or paused: shutdown (by itself) destroyed crashed failed saved migrated lost (nobody saw it end),
    # io_error user …; "": not known. It is no part of what the guest is.
    reason: str = field(default="", compare=False)


def encode(value: Any) -> dict[str, Any]:
    """A spec as JSON data."""
    return asdict(value)


T = TypeVar("T")


def decode(cls: type[T], data: dict[str, Any]) -> T:
    """The spec of class `cls` from JSON data; unknown keys are dropped, so that N−1 can read N (rule R12)."""
    hints = typing.get_type_hints(cls)
    known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
    return cls(**{key: _decode(hints[key], value) for key, value in data.items() if key in known})


def _decode(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    origin = typing.get_origin(hint)
    if origin is types.UnionType or origin is typing.Union:
        return _decode(next(a for a in typing.get_args(hint) if a is not type(None)), value)
    if origin is tuple:
        inner = typing.get_args(hint)[0]
        return tuple(_decode(inner, item) for item in value)
    if is_dataclass(hint):
        return decode(typing.cast("type[Any]", hint), value)
    return value


def digest(data: Any) -> str:
    """SHA-256 of JSON data in canonical form, hex."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
