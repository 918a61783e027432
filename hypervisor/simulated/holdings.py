"""Facet `Holdings` of a simulated host: notes of guests, and the files that every host has."""

from __future__ import annotations

from pathlib import Path

from hypervisor.holding_files import HoldingFiles
from hypervisor.holdings import DomainFound, LeftoverFound, NetworkFound
from hypervisor.instance_files import InstanceFiles
from hypervisor.simulated.faults import Faults
from hypervisor.simulated.lifecycle import SimulatedLifecycle
from hypervisor.simulated.networks import SimulatedNetworks


class SimulatedHoldings(HoldingFiles):
    """See `hypervisor.driver.Holdings`. A network runs while it has a port, and serves all of them."""

    def __init__(
        self,
        files: InstanceFiles,
        base_dir: Path,
        networks: SimulatedNetworks,
        lifecycle: SimulatedLifecycle,
        faults: Faults,
    ) -> None:
        super().__init__(files, base_dir, networks.records)
        self._networks = networks
        self._lifecycle = lifecycle
        self._faults = faults

    def domains(self) -> tuple[DomainFound, ...]:
        """See `hypervisor.driver.Holdings.domains`."""
        with self._faults.around("holdings.domains"):
            return tuple(
                DomainFound(
                    instance_id=instance_id,
                    name=str(note.get("name", "")),
                    power_state=int(note.get("power_state", 0)),
                    action_id=str(note.get("action", "")),
                    is_ours=bool(note.get("action")),
                )
                for instance_id, note in self._lifecycle.domains()
            )

    def networks(self) -> tuple[NetworkFound, ...]:
        """See `hypervisor.driver.Holdings.networks`."""
        return tuple(
            NetworkFound(
                id=network_id,
                is_running=True,
                ports=ports,
                leases=self._networks.leases(network_id),
                tunnel=self._networks.tunnel(network_id),
                is_tunnel_known=True,
            )
            for network_id, ports in self.ports().items()
        )

    def leftovers(self) -> tuple[LeftoverFound, ...]:
        """See `hypervisor.driver.Holdings.leftovers`."""
        with self._faults.around("holdings.leftovers"):
            return self._networks.leftovers()

    def forget_entry(self, network_id: str, mac: str, ip: str) -> None:
        """No entry is without a port here; a lease may be."""
        with self._faults.around("holdings.forget_entry"):
            self._networks.forget_lease(network_id, mac)

    def forget_network(self, network_id: str) -> bool:
        """See `hypervisor.driver.Holdings.forget_network`."""
        with self._faults.around("holdings.forget_network"):
            return self._networks.forget(network_id)

    def set_aside(self, name: str) -> None:
        """See `hypervisor.driver.Holdings.set_aside`."""
        with self._faults.around("holdings.set_aside"):
            super().set_aside(name)

    def remove_directory(self, name: str) -> None:
        """See `hypervisor.driver.Holdings.remove_directory`."""
        with self._faults.around("holdings.remove_directory"):
            super().remove_directory(name)

    def remove_base(self, name: str, used_at: float) -> bool:
        """See `hypervisor.driver.Holdings.remove_base`."""
        with self._faults.around("holdings.remove_base"):
            return super().remove_base(name, used_at)
