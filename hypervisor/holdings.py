"""What a compute host says that it has, when it is asked: plain frozen data, read by the doctor of the conductors.

A host says what it sees and concludes nothing. `holding_files.py` and the drivers' `holdings.py` make these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_DIRECTORY = re.compile(rf"(?P<removing>\.removing-)?(?P<instance>{_UUID})(?:\.(?P<action>{_UUID}))?")


@dataclass(frozen=True, kw_only=True)
class DomainFound:
    """One domain. `is_ours`: it carries our mark and, where it has a disk, that is in this host's own directory."""

    instance_id: str
    name: str
    power_state: int  # OpenStack's numbers
    action_id: str  # of its maker; "" when nobody signed
    is_ours: bool


@dataclass(frozen=True, kw_only=True)
class FileFound:
    """One file below a directory. `name` is relative to that."""

    name: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class DirectoryFound:
    """One entry of the instances' directory: an instance's own, what the action `kept_by` set aside of it, or with
    `is_removing` one of these whose removal was interrupted. `action_id`: who made its disk."""

    name: str
    instance_id: str
    kept_by: str = ""
    is_removing: bool = False
    action_id: str = ""
    files: tuple[FileFound, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Of all files in it."""
        return sum(file.size_bytes for file in self.files)

    @property
    def has_disk(self) -> bool:
        """The system disk is there."""
        return any(file.name == "disk" for file in self.files)


@dataclass(frozen=True, kw_only=True)
class BaseFound:
    """One file of the cache of base images. `is_used`: a disk of this host's directory stands on it. `used_at`: when
    something asked for it last, by the host's clock, in seconds since the epoch."""

    name: str
    size_bytes: int
    is_used: bool
    used_at: float


@dataclass(frozen=True, kw_only=True)
class PortFound:
    """One port that counts as plugged here. `is_served`: DHCP has its entry."""

    network_id: str
    port_id: str
    instance_id: str
    mac: str
    ip: str
    is_served: bool = True


@dataclass(frozen=True, kw_only=True)
class EntryFound:
    """A DHCP entry, or a lease, that belongs to no plugged port."""

    network_id: str
    mac: str
    ip: str


@dataclass(frozen=True, kw_only=True)
class TunnelFound:
    """A network's tunnel to other hosts. `is_attached`: it is up, and a port of the network's bridge; `is_filtered`:
    all the rules are there that keep this host's own packets off it, or they could not be read."""

    vni: int
    local: str
    peers: tuple[str, ...]
    is_attached: bool = True
    is_filtered: bool = True


@dataclass(frozen=True, kw_only=True)
class NetworkFound:
    """A network with ports here. `is_running`: its bridge is there. `leases`: those without an entry. `tunnel`: None
    says that there is none if `is_tunnel_known`, else that it could not be looked at."""

    id: str
    is_running: bool
    ports: tuple[PortFound, ...] = ()
    strays: tuple[EntryFound, ...] = ()
    leases: tuple[EntryFound, ...] = ()
    tunnel: TunnelFound | None = None
    is_tunnel_known: bool = False


@dataclass(frozen=True, kw_only=True)
class LeftoverFound:
    """A bridge (`kn-…`) or tunnel (`kv-…`) of a network that has no port here; maybe of another cloud on the same
    machine. `macs`: those that its DHCP gives addresses to. `is_used`: a guest is on it."""

    name: str
    macs: tuple[str, ...] = ()
    is_used: bool = False


@dataclass(frozen=True, kw_only=True)
class OpenStep:
    """A step that was begun on a target and is not finished: it is at work, or was interrupted."""

    target: str
    name: str
    begun_at: float  # seconds since the epoch, by the host's clock


@dataclass(frozen=True, kw_only=True)
class HostHoldings:
    """All that one host has. `generation`: under which it takes work, 0 while it does not. Hosts whose `storage_id` is
    one and the same see the same `directories`."""

    looked_at: float
    generation: int
    storage_id: str
    domains: tuple[DomainFound, ...]
    directories: tuple[DirectoryFound, ...]
    bases: tuple[BaseFound, ...]
    networks: tuple[NetworkFound, ...]
    open_steps: tuple[OpenStep, ...]
    leftovers: tuple[LeftoverFound, ...] = ()


def directory_named(name: str, files: tuple[FileFound, ...] = (), action_id: str = "") -> DirectoryFound | None:
    """What an entry of the instances' directory is by its name; None for one that the cloud did not make."""
    match = _DIRECTORY.fullmatch(name)
    if match is None:
        return None
    return DirectoryFound(
        name=name,
        instance_id=match["instance"],
        kept_by=match["action"] or "",
        is_removing=match["removing"] is not None,
        action_id=action_id,
        files=files,
    )
