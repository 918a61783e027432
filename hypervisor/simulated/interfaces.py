"""Facet `Interfaces` as records: a network is there while it has a port."""

from __future__ import annotations

from hypervisor.driver import Progress
from hypervisor.simulated.faults import Faults
from hypervisor.simulated.networks import SimulatedNetworks
from hypervisor.spec import GuestSpec, Maker, NicSpec, ReachSpec


class SimulatedInterfaces:
    """See `hypervisor.driver.Interfaces`. A file a port: threads and processes need no lock."""

    def __init__(self, networks: SimulatedNetworks, faults: Faults) -> None:
        self._networks = networks
        self._records = networks.records
        self._faults = faults

    def plug(self, guest: GuestSpec, maker: Maker, progress: Progress) -> None:
        """See `hypervisor.driver.Interfaces.plug`."""
        with self._faults.around("interfaces.plug", progress):
            for nic in guest.nics:
                self._records.put(nic.network.id, self._records.wanted(nic, guest.instance_id, maker))
                self._networks.settle_tunnel(nic.network)

    def unplug(self, instance_id: str, nics: tuple[NicSpec, ...], maker: Maker | None) -> None:
        """See `hypervisor.driver.Interfaces.unplug`."""
        with self._faults.around("interfaces.unplug"):
            for nic in nics:
                record = self._records.get(nic.network.id, nic.port_id)
                if record is not None and record.may_be_removed_by(instance_id, maker):
                    self._networks.settle_tunnel(nic.network, going=nic.port_id)
                    self._records.remove(nic.network.id, nic.port_id)
                if self._records.is_empty(nic.network.id):
                    self._records.rest_reach(nic.network.id)

    def set_reach(self, reach: ReachSpec) -> int:
        """See `hypervisor.driver.Interfaces.set_reach`."""
        with self._faults.around("interfaces.set_reach"):
            known = self._records.learn_reach(reach)
            self._networks.settle_tunnel(reach.network)
            return known.version

    def plugged(self, instance_id: str) -> tuple[NicSpec, ...]:
        """See `hypervisor.driver.Interfaces.plugged`."""
        return self._records.of_instance(instance_id)
