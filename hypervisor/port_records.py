"""Which ports are plugged on this host, by network, and which action plugged each. Local to the host, never shared.

`<root>/<network id>/<port id>.json`, one file a port, so that plugging one never rewrites another's; and beside the
directory the network's lock. libvirt's DHCP entries have no room for their maker: these records are it, and from them a
lost network definition is made anew.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from hypervisor import side_files
from hypervisor.spec import Maker, NetworkSpec, NicSpec


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

    def may_be_removed_by(self, instance_id: str, maker: Maker | None) -> bool:
        """The port still belongs to that instance, and to that action when one is named."""
        return self.instance_id == instance_id and (maker is None or self.action_id == maker.action_id)


@dataclass(frozen=True)
class PortRecords:
    """All plugged ports of one host. `is_durable`: they survive a power loss, not only a killed worker."""

    root: Path
    is_durable: bool = True

    def get(self, network_id: str, port_id: str) -> PortRecord | None:
        """The port's record; None when it is not plugged here."""
        data = side_files.read(self._path(network_id, port_id))
        return _decode(data) if data else None

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

    def _path(self, network_id: str, port_id: str) -> Path:
        return self.root / network_id / f"{port_id}.json"


def _nic(network_id: str, record: PortRecord) -> NicSpec:
    bridge = f"kn-{network_id.replace('-', '')[:12]}"
    network = NetworkSpec(id=network_id, name=bridge, bridge=bridge, mode="", cidr="", gateway_ip=None, mtu=0)
    return NicSpec(port_id=record.port_id, mac=record.mac, ip=record.ip, prefix=0, network=network)


def _decode(data: dict[str, str]) -> PortRecord:
    return PortRecord(**{name: str(data.get(name, "")) for name in PortRecord.__dataclass_fields__})
