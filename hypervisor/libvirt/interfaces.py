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
from hypervisor.port_records import PortRecord, PortRecords
from hypervisor.spec import GuestSpec, Maker, NicSpec


class LibvirtInterfaces:
    """See `hypervisor.driver.Interfaces`. `records_dir` is on a local disk."""

    def __init__(self, networks: Networks, records_dir: Path) -> None:
        self._networks = networks
        self._records = PortRecords(records_dir)

    def plug(self, guest: GuestSpec, maker: Maker, progress: Progress) -> None:
        """See `hypervisor.driver.Interfaces.plug`."""
        for nic in guest.nics:
            waiting = functools.partial(progress, None, "waiting for the network's lock")
            with self._locked(nic.network.id, waiting):
                record = PortRecord.of(nic, guest.instance_id, maker)
                for stale in self._records.of_network(nic.network.id):
                    if stale.port_id != record.port_id and (stale.mac == record.mac or stale.ip == record.ip):
                        self._records.remove(nic.network.id, stale.port_id)
                self._records.put(nic.network.id, record)
                known = [(known.mac, known.ip) for known in self._records.of_network(nic.network.id)]
                self._networks.ensure(nic.network, (record.mac, record.ip), known)
            progress(None, f"plugged {nic.ip}")

    def unplug(self, instance_id: str, nics: tuple[NicSpec, ...], maker: Maker | None) -> None:
        """See `hypervisor.driver.Interfaces.unplug`."""
        for nic in nics:
            with self._locked(nic.network.id, lambda: None):
                self._unplug(instance_id, nic, maker)

    def plugged(self, instance_id: str) -> tuple[NicSpec, ...]:
        """See `hypervisor.driver.Interfaces.plugged`."""
        return self._records.of_instance(instance_id)

    def _unplug(self, instance_id: str, nic: NicSpec, maker: Maker | None) -> None:
        record = self._records.get(nic.network.id, nic.port_id)
        if record is None:
            if maker is not None:
                return
        elif not record.may_be_removed_by(instance_id, maker):
            return
        others = [known for known in self._records.of_network(nic.network.id) if known.port_id != nic.port_id]
        if others or not self._networks.remove(nic.network):
            self._networks.forget(nic.network, (nic.mac.lower(), nic.ip))
        self._records.remove(nic.network.id, nic.port_id)

    @contextmanager
    def _locked(self, network_id: str, while_waiting: Callable[[], object]) -> Iterator[None]:
        """Holds the network's lock; the lock's file goes with the last port."""
        lock = self._records.lock(network_id)
        with file_locks.held(lock, file_locks.EXCLUSIVE, while_waiting):
            yield
            if self._records.is_empty(network_id):
                lock.unlink()
