"""Facet `Interfaces`: ports of guests on the networks of this host.

Each change of a network is made under its lock, a file, so that threads and processes of this host take turns. A
port's record (`hypervisor.port_records`) is written before the port is plugged and removed after it was unplugged.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hypervisor import file_locks
from hypervisor.driver import Progress
from hypervisor.libvirt.networks import Networks
from hypervisor.libvirt.tunnels import Tunnels
from hypervisor.port_records import PortRecords
from hypervisor.spec import GuestSpec, Maker, NicSpec, ReachSpec

_IDLE_REACH_SECONDS = 86400.0


class LibvirtInterfaces:
    """See `hypervisor.driver.Interfaces`. `records_dir` is on a local disk."""

    def __init__(self, networks: Networks, tunnels: Tunnels, records_dir: Path) -> None:
        self._networks = networks
        self._tunnels = tunnels
        self._records = PortRecords(records_dir)

    def plug(self, guest: GuestSpec, maker: Maker, progress: Progress) -> None:
        """See `hypervisor.driver.Interfaces.plug`."""
        for nic in guest.nics:
            waiting = functools.partial(progress, None, "waiting for the network's lock")
            with self._locked(nic.network.id, waiting):
                record = self._records.wanted(nic, guest.instance_id, maker)
                for stale in self._records.of_network(nic.network.id):
                    if stale.port_id != record.port_id and (stale.mac == record.mac or stale.ip == record.ip):
                        self._records.remove(nic.network.id, stale.port_id)
                self._records.put(nic.network.id, record)
                known = [(known.mac, known.ip) for known in self._records.of_network(nic.network.id)]
                self._networks.ensure(nic.network, (record.mac, record.ip), known)
                self._tunnels.ensure(nic.network, self._records.reach(nic.network.id).addresses)
            progress(None, f"plugged {nic.ip}")

    def unplug(self, instance_id: str, nics: tuple[NicSpec, ...], maker: Maker | None) -> None:
        """See `hypervisor.driver.Interfaces.unplug`."""
        for nic in nics:
            with self._locked(nic.network.id, lambda: None):
                self._unplug(instance_id, nic, maker)

    def set_reach(self, reach: ReachSpec) -> int:
        """See `hypervisor.driver.Interfaces.set_reach`."""
        network = reach.network
        with self._locked(network.id, lambda: None):
            known = self._records.learn_reach(reach)
            if not self._records.is_empty(network.id) and self._networks.is_running(network):
                self._tunnels.ensure(network, known.addresses)
        self._forget_idle_reaches()
        return known.version

    def _forget_idle_reaches(self) -> None:
        """Forgets the hosts of networks that had no port here, and were not told of, for a day."""
        for network_id in self._records.reaches_older_than(_IDLE_REACH_SECONDS):
            with file_locks.tried(self._records.lock(network_id), file_locks.EXCLUSIVE) as got:
                if got and self._records.is_empty(network_id):
                    self._records.forget_reach(network_id)
                    self._records.lock(network_id).unlink()

    def plugged(self, instance_id: str) -> tuple[NicSpec, ...]:
        """See `hypervisor.driver.Interfaces.plugged`."""
        return self._records.of_instance(instance_id)

    def forget_stray(self, network_id: str, mac: str, ip: str) -> None:
        """After it DHCP there has neither entry nor lease for `mac`, unless a port of ours is plugged with it."""
        nic = self._records.as_nic(network_id, mac=mac, ip=ip)
        with self._locked(network_id, lambda: None):
            if all(known.mac != mac for known in self._records.of_network(network_id)):
                self._networks.forget(nic.network, (mac, ip))

    def forget_network(self, network_id: str) -> bool:
        """After it neither bridge nor tunnel of the network is here; False when a port or a guest is on it."""
        spec = self._records.as_nic(network_id, mac="", ip="").network
        with self._locked(network_id, lambda: None):
            if not self._records.is_empty(network_id):
                return False
            if not self._networks.remove(spec):
                return False
            self._tunnels.remove(spec)
            return True

    def _unplug(self, instance_id: str, nic: NicSpec, maker: Maker | None) -> None:
        record = self._records.get(nic.network.id, nic.port_id)
        if record is None:
            if maker is not None:
                return
        elif not record.may_be_removed_by(instance_id, maker):
            return
        others = [known for known in self._records.of_network(nic.network.id) if known.port_id != nic.port_id]
        if not others:
            self._tunnels.remove(nic.network)
        if others or not self._networks.remove(nic.network):
            self._networks.forget(nic.network, (nic.mac.lower(), nic.ip))
        self._records.remove(nic.network.id, nic.port_id)

    @contextmanager
    def _locked(self, network_id: str, while_waiting: Callable[[], object]) -> Iterator[None]:
        """Holds the network's lock; its file goes with the last port, what is known of other hosts a day later."""
        lock = self._records.lock(network_id)
        with file_locks.held(lock, file_locks.EXCLUSIVE, while_waiting):
            yield
            if self._records.is_empty(network_id):
                self._records.rest_reach(network_id)
                lock.unlink()
