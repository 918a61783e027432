"""What a simulated host's networks are made of, beside their ports: tunnels, leases, and bridges that were left.

Files below `<root>`: `tunnels/kv-….json`, `leases/<network id>.json` ({MAC: address}), `bridges/kn-….json`. A network
is there while it has a port; a lease, or a bridge without ports, is there when a test put it.
"""

from __future__ import annotations

from pathlib import Path

from hypervisor import file_locks, side_files
from hypervisor.holdings import EntryFound, LeftoverFound, TunnelFound
from hypervisor.port_records import PortRecords
from hypervisor.spec import NetworkSpec, decode, encode, reach_each_other


class SimulatedNetworks:
    """The networks of the host at `address`."""

    def __init__(self, root: Path, records: PortRecords, address: str) -> None:
        self.records = records
        self._root = root
        self._address = address

    def settle_tunnel(self, network: NetworkSpec, going: str = "") -> None:
        """After it the network's tunnel goes where the records say, whoever changed them: see the libvirt driver's
        `Tunnels.ensure` and `remove`. The port `going` counts as gone."""
        path = self._tunnel(network.id)
        if not path.exists() and not self._peers(network.id, going):  # as on every host that is alone
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with file_locks.held(path.with_suffix(".lock"), file_locks.EXCLUSIVE, lambda: None):
            peers = self._peers(network.id, going)  # as they are now: who changes them comes here afterwards
            if peers:
                wanted = TunnelFound(vni=network.vni, local=self._address, peers=peers)
                side_files.write(path, encode(wanted), durable=False)
            else:
                path.unlink(missing_ok=True)

    def tunnel(self, network_id: str) -> TunnelFound | None:
        """The network's; None when there is none."""
        found = side_files.read(self._tunnel(network_id))
        return decode(TunnelFound, found) if found else None

    def leases(self, network_id: str) -> tuple[EntryFound, ...]:
        """Those of MACs that no port here has."""
        leased = side_files.read(self._leases(network_id)) or {}
        macs = {record.mac for record in self.records.of_network(network_id)}
        return tuple(
            EntryFound(network_id=network_id, mac=mac, ip=ip) for mac, ip in sorted(leased.items()) if mac not in macs
        )

    def forget_lease(self, network_id: str, mac: str) -> None:
        """After it that MAC has no lease there, unless a port has that MAC."""
        if any(lease.mac == mac for lease in self.leases(network_id)):
            leased = side_files.read(self._leases(network_id)) or {}
            del leased[mac]
            side_files.write(self._leases(network_id), leased, durable=False)

    def leftovers(self) -> tuple[LeftoverFound, ...]:
        """Bridges and tunnels of networks without a port here."""
        before = self._networks_in_use()
        found = [LeftoverFound(name=path.stem, **(side_files.read(path) or {})) for path in self._files("bridges")]
        found += [LeftoverFound(name=path.stem) for path in self._files("tunnels")]
        in_use = before | self._networks_in_use()  # a port is recorded before its tunnel is made and until it is gone
        return tuple(leftover for leftover in found if leftover.name[3:] not in in_use)

    def forget(self, network_id: str) -> bool:
        """See `hypervisor.driver.Holdings.forget_network`."""
        bridge = self._root / "bridges" / f"kn-{_short(network_id)}.json"
        if not self.records.is_empty(network_id) or (side_files.read(bridge) or {}).get("is_used"):
            return False
        bridge.unlink(missing_ok=True)
        self._tunnel(network_id).unlink(missing_ok=True)
        return True

    def _peers(self, network_id: str, going: str) -> tuple[str, ...]:
        if all(record.port_id == going for record in self.records.of_network(network_id)):
            return ()
        others = set(self.records.reach(network_id).addresses) - {self._address}
        return tuple(sorted(address for address in others if reach_each_other(address, self._address)))

    def _networks_in_use(self) -> set[str]:
        root = self.records.root
        return {_short(path.name) for path in root.iterdir() if path.is_dir()} if root.exists() else set()

    def _files(self, kind: str) -> list[Path]:
        return sorted((self._root / kind).glob("*.json"))

    def _tunnel(self, network_id: str) -> Path:
        return self._root / "tunnels" / f"kv-{_short(network_id)}.json"

    def _leases(self, network_id: str) -> Path:
        return self._root / "leases" / f"{network_id}.json"


def _short(network_id: str) -> str:
    return network_id.replace("-", "")[:12]
