"""Which ports are plugged on this host, by network, and which action plugged each. Local to the host, never shared.

`<root>/<network id>/<port id>.json`, one file a port, so that plugging one never rewrites another's; and beside the
directory the network's lock and its reach, the hosts that it spans. libvirt's DHCP entries have no room for their
maker: these records are it, and from them a lost network definition is made anew.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hypervisor import side_files
from hypervisor.spec import Maker, NetworkSpec, NicSpec, ReachSpec


@dataclass(frozen=True, kw_only=True)
class PortRecord:
    """One plugged port: its DHCP entry and who made it."""

    port_id: str
    instance_id: str
    mac: str
    ip: str
    action_id: str
    digest: str

    @classmethod
    def of(cls, nic: NicSpec, instance_id: str, maker: Maker) -> PortRecord:
        """The record of `nic`, plugged by `maker`."""
        return cls(
            port_id=nic.port_id,
            instance_id=instance_id,
            mac=nic.mac.lower(),
            ip=nic.ip,
            action_id=maker.action_id,
            digest=maker.digest,
        )

    def is_same_place(self, other: PortRecord) -> bool:
        """Both are the same port of the same instance with the same addresses, whoever plugged it."""
        mine, theirs = (replace(record, action_id="", digest="") for record in (self, other))
        return mine == theirs

    def may_be_removed_by(self, instance_id: str, maker: Maker | None) -> bool:
        """The port still belongs to that instance, and to that action when one is named."""
        return self.instance_id == instance_id and (maker is None or self.action_id == maker.action_id)


@dataclass(frozen=True)
class Reach:
    """What a host knows of a network's hosts. Version 0: nothing yet."""

    version: int = 0
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class PortRecords:
    """All plugged ports of one host. `is_durable`: they survive a power loss, not only a killed worker."""

    root: Path
    is_durable: bool = True

    def get(self, network_id: str, port_id: str) -> PortRecord | None:
        """The port's record; None when it is not plugged here."""
        data = side_files.read(self._path(network_id, port_id))
        return _decode(data) if data else None

    def wanted(self, nic: NicSpec, instance_id: str, maker: Maker) -> PortRecord:
        """The record that the port is to have: the one it has when it is plugged so already, for then `maker` makes
        nothing that its undo could take away (rule R10)."""
        fresh = PortRecord.of(nic, instance_id, maker)
        known = self.get(nic.network.id, nic.port_id)
        return known if known is not None and known.is_same_place(fresh) else fresh

    def put(self, network_id: str, record: PortRecord) -> None:
        """After it the port counts as plugged. Put before acting, so that an undo finds it."""
        path = self._path(network_id, record.port_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        side_files.write(path, asdict(record), durable=self.is_durable)

    def remove(self, network_id: str, port_id: str) -> None:
        """After it the port does not count as plugged. Remove after acting."""
        path = self._path(network_id, port_id)
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # it is not there, or holds other ports
            path.parent.rmdir()

    def reach(self, network_id: str) -> Reach:
        """What this host was told last of the network's hosts."""
        data = side_files.read(self._reach_path(network_id)) or {}
        return Reach(int(data.get("version", 0)), tuple(data.get("addresses", ())))

    def learn_reach(self, told: ReachSpec) -> Reach:
        """Keeps what the host is told, unless it knows of a later version. Gives what it knows then."""
        known = self.reach(told.network.id)
        if told.version <= known.version:
            return known
        self.root.mkdir(parents=True, exist_ok=True)
        content = {"version": told.version, "addresses": list(told.addresses)}
        side_files.write(self._reach_path(told.network.id), content, durable=self.is_durable)
        return Reach(told.version, told.addresses)

    def forget_reach(self, network_id: str) -> None:
        """After it the host knows nothing of the network's hosts."""
        self._reach_path(network_id).unlink(missing_ok=True)

    def rest_reach(self, network_id: str) -> None:
        """The network's last port went. What is known of its hosts stays for a while: another port may come before the
        cloud has seen that this host lost the network, and then nobody tells it again."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._reach_path(network_id))

    def reaches_older_than(self, seconds: float) -> list[str]:
        """Networks without a port here whose hosts were told, or whose last port went, longer ago than that."""
        before = time.time() - seconds
        found = [path.stem for path in self.root.glob("*.reach") if _modified(path) < before]
        return [network_id for network_id in found if self.is_empty(network_id)]

    def of_instance(self, instance_id: str) -> tuple[NicSpec, ...]:
        """The instance's plugged ports, with what is known of them and their networks: enough to unplug them."""
        with contextlib.suppress(FileNotFoundError):
            networks = sorted(entry.name for entry in os.scandir(self.root) if entry.is_dir())
            return tuple(
                _nic(network_id, record)
                for network_id in networks
                for record in self.of_network(network_id)
                if record.instance_id == instance_id
            )
        return ()

    def lock(self, network_id: str) -> Path:
        """The file to lock while the network is changed."""
        self.root.mkdir(parents=True, exist_ok=True)
        return self.root / f"{network_id}.lock"

    def is_empty(self, network_id: str) -> bool:
        """No port of the network is plugged here."""
        return not (self.root / network_id).exists()

    def of_network(self, network_id: str) -> list[PortRecord]:
        """The network's plugged ports, by port id."""
        with contextlib.suppress(FileNotFoundError):
            names = sorted(entry for entry in os.listdir(self.root / network_id) if entry.endswith(".json"))
            found = (side_files.read(self.root / network_id / name) for name in names)
            return [_decode(data) for data in found if data]
        return []

    def as_nic(self, network_id: str, *, mac: str, ip: str) -> NicSpec:
        """A place on that network, as far as its DHCP entry needs to know it."""
        return _nic(network_id, PortRecord(port_id="", instance_id="", mac=mac, ip=ip, action_id="", digest=""))

    def _reach_path(self, network_id: str) -> Path:
        return self.root / f"{network_id}.reach"

    def _path(self, network_id: str, port_id: str) -> Path:
        return self.root / network_id / f"{port_id}.json"


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _nic(network_id: str, record: PortRecord) -> NicSpec:
    bridge = f"kn-{network_id.replace('-', '')[:12]}"
    network = NetworkSpec(id=network_id, name=bridge, bridge=bridge, mode="", cidr="", gateway_ip=None, mtu=0)
    return NicSpec(port_id=record.port_id, mac=record.mac, ip=record.ip, prefix=0, network=network)


def _decode(data: dict[str, str]) -> PortRecord:
    return PortRecord(**{name: str(data.get(name, "")) for name in PortRecord.__dataclass_fields__})
