"""Facet `Migration` as notes: a guest's note goes from one host's directory to another's.

Simulated hosts of one machine find one another side by side: the peer's state directory is `<hosts dir>/<peer>`, where
the hosts dir is `SIMULATED_HOSTS_DIR`, or the one that this host's own state directory is in. That is so for several
hosts of one worker, and for workers of their own whose state directories have a common parent and the hosts' names.
"""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Any

from hypervisor import side_files
from hypervisor.config import HostConfig
from hypervisor.driver import BaseImage, Progress
from hypervisor.errors import GuestNotFound, HypervisorFailed, HypervisorUnreachable
from hypervisor.instance_files import InstanceFiles
from hypervisor.migration import (
    CopyPlan,
    MigrationAborted,
    MigrationFailed,
    MigrationOrder,
    MigrationRefused,
    MigrationSource,
    Wish,
    Wishes,
)
from hypervisor.port_records import PortRecords
from hypervisor.simulated.disks import SimulatedDisks
from hypervisor.simulated.faults import Faults
from hypervisor.simulated.interfaces import SimulatedInterfaces
from hypervisor.simulated.inventory import SimulatedInventory
from hypervisor.simulated.lifecycle import PAUSED, RUNNING, SimulatedLifecycle
from hypervisor.spec import GuestSpec, Maker, NicSpec

_ON = (RUNNING, PAUSED)
_MIB = 1024**2
_TICKS = 4  # times that a migration looks for wishes on its way
_TICK_SECONDS = 0.02


class SimulatedMigration:
    """See `hypervisor.driver.Migration`."""

    def __init__(
        self,
        config: HostConfig,
        files: InstanceFiles,
        lifecycle: SimulatedLifecycle,
        disks: SimulatedDisks,
        interfaces: SimulatedInterfaces,
        inventory: SimulatedInventory,
        faults: Faults,
    ) -> None:
        self._name = config.name
        self._peers = Path(os.environ.get("SIMULATED_HOSTS_DIR") or config.state_dir.parent)
        self._files = files
        self._lifecycle = lifecycle
        self._disks = disks
        self._interfaces = interfaces
        self._inventory = inventory
        self._faults = faults
        self._wishes = Wishes(config.state_dir / "wishes")

    def describe(self, instance_id: str) -> MigrationSource:
        """See `hypervisor.driver.Migration.describe`."""
        with self._faults.around("migration.describe"):
            note = self._lifecycle.note(instance_id)
            if note is None or note["power_state"] not in _ON:
                raise GuestNotFound(f"the guest of instance {instance_id} is not on here")
            disk = side_files.read(self._files.disk(instance_id)) or {}
            offered = self._inventory.read()
            return MigrationSource(
                storage_id=offered.storage_id,
                hypervisor_type=offered.hypervisor_type,
                hypervisor_version=offered.hypervisor_version,
                architecture=offered.architecture,
                cpu="",
                disk_bytes=int(disk.get("size_bytes", 0)),
                backing=str(disk.get("backing", "")),
            )

    def check(self, guest: GuestSpec, source: MigrationSource, *, is_shared: bool) -> None:
        """See `hypervisor.driver.Migration.check`."""
        with self._faults.around("migration.check"):
            offered = self._inventory.read()
            if source.hypervisor_type != offered.hypervisor_type:
                raise MigrationRefused(
                    f"host {self._name} runs {offered.hypervisor_type}, the guest {source.hypervisor_type}"
                )
            if is_shared != (source.storage_id == offered.storage_id):
                raise MigrationRefused(f"host {self._name} has storage {offered.storage_id}, not the storage expected")

    def prepare(
        self, guest: GuestSpec, source: MigrationSource, base: BaseImage | None, maker: Maker, progress: Progress
    ) -> CopyPlan:
        """See `hypervisor.driver.Migration.prepare`."""
        with self._faults.around("migration.prepare", progress):
            if base is None or Path(base.path).name != Path(source.backing).name:  # each host has another state dir
                base = BaseImage(path="", disk_format="", virtual_size_bytes=source.disk_bytes)
            self._disks.create(guest, base, maker, progress)
            return CopyPlan.INCREMENTAL if base.path else CopyPlan.FULL

    def expect(self, instance_id: str, source: MigrationSource, *, is_shared: bool) -> None:
        """See `hypervisor.driver.Migration.expect`."""
        with self._faults.around("migration.expect"):
            note = self._lifecycle.note(instance_id)
            if note is not None and note["power_state"] in _ON and not note.get("is_coming"):
                raise MigrationRefused(f"a guest of instance {instance_id} is on at host {self._name} already")
            self._lifecycle.remove(instance_id, None)

    def turn_away(self, instance_id: str, maker: Maker) -> None:
        """See `hypervisor.driver.Migration.turn_away`."""
        with self._faults.around("migration.turn_away"):
            note = self._lifecycle.note(instance_id)
            if note is None or note["action"] != maker.action_id:
                return
            if not note.get("is_coming"):
                raise MigrationFailed(f"the guest of instance {instance_id} has arrived at host {self._name}")
            self._lifecycle.remove(instance_id, maker)

    def send(self, guest: GuestSpec, order: MigrationOrder, maker: Maker, progress: Progress) -> None:
        """See `hypervisor.driver.Migration.send`. It takes some hundredths of a second, in which wishes are seen."""
        with self._faults.around("migration.send", progress):
            note, peer = self._lifecycle.note(guest.instance_id), self._peer(order)
            if _has_arrived(side_files.read(self._note(peer, guest.instance_id)), maker):
                self._lifecycle.remove(guest.instance_id, None)
                return
            if note is None or note["power_state"] not in _ON:
                raise GuestNotFound(f"the guest of instance {guest.instance_id} is not on here")
            disk = InstanceFiles(peer / "instances").disk(guest.instance_id)
            ports = PortRecords(peer / "simulated" / "networks")
            if not disk.exists() or any(ports.is_empty(nic.network.id) for nic in guest.nics):
                raise MigrationFailed(f"host {order.destination} lacks disk or network of {guest.instance_id}")
            self._write(peer, guest, {**note, "action": maker.action_id, "digest": maker.digest, "is_coming": True})
            self._travel(guest, maker, progress)
            if order.copy != CopyPlan.NONE:
                shutil.copyfile(self._files.disk(guest.instance_id), disk)
            # From this line on it has moved: one rename, as with a hypervisor's switch, and then its note here goes.
            self._write(peer, guest, {**note, "action": maker.action_id, "digest": maker.digest})
            self._lifecycle.remove(guest.instance_id, None)

    def has_moved(self, instance_id: str, order: MigrationOrder, maker: Maker) -> bool:
        """See `hypervisor.driver.Migration.has_moved`."""
        with self._faults.around("migration.has_moved"):
            if order.destination == self._name:
                return _has_arrived(self._lifecycle.note(instance_id), maker)
            try:
                peer = self._peer(order)
            except MigrationFailed as error:
                note = self._lifecycle.note(instance_id)
                if note is not None and note["power_state"] in _ON:
                    return False
                raise HypervisorUnreachable(error.message) from error
            return _has_arrived(side_files.read(self._note(peer, instance_id)), maker)

    def arrive(self, guest: GuestSpec, order: MigrationOrder, maker: Maker) -> dict[str, Any]:
        """See `hypervisor.driver.Migration.arrive`."""
        with self._faults.around("migration.arrive"):
            note = self._lifecycle.note(guest.instance_id)
            if note is None:
                raise HypervisorFailed(f"the guest of instance {guest.instance_id} is not at host {self._name}")
            wanted = PAUSED if order.is_paused else RUNNING
            if note["power_state"] in _ON and note["power_state"] != wanted:
                self._lifecycle.set_power_state(guest.instance_id, wanted, "resumed")
            memory = guest.memory_mib * _MIB
            return {"downtime_ms": 0, "total_ms": int(_TICKS * _TICK_SECONDS * 1000), "memory_bytes": memory}

    def leave(self, instance_id: str, nics: tuple[NicSpec, ...], *, is_shared: bool) -> None:
        """See `hypervisor.driver.Migration.leave`."""
        with self._faults.around("migration.leave"):
            self._lifecycle.remove(instance_id, None)
            self._interfaces.unplug(instance_id, nics, None)
            if not is_shared:
                self._disks.delete(instance_id, None)

    def steer(self, instance_id: str, action_id: str, wish: Wish) -> bool:
        """See `hypervisor.driver.Migration.steer`."""
        with self._faults.around("migration.steer"):
            return self._wishes.ask(action_id, wish, float(os.environ.get("SIMULATED_STEER_SECONDS", "2")))

    def _travel(self, guest: GuestSpec, maker: Maker, progress: Progress) -> None:
        """The way: memory is counted, wishes are followed."""
        total, pause = guest.memory_mib * _MIB, threading.Event()
        for tick in range(_TICKS):
            done = total * tick // _TICKS
            counters = {"memory_total_bytes": total, "memory_processed_bytes": done}
            progress(100 * tick // _TICKS, "migrating", {**counters, "memory_remaining_bytes": total - done})
            wish = self._wishes.of(maker.action_id)
            if wish is not None:
                self._wishes.taken(maker.action_id)
            if wish == Wish.ABORT:
                raise MigrationAborted(f"the migration of instance {guest.instance_id} was aborted on request")
            if wish == Wish.FORCE_COMPLETE:
                return
            pause.wait(_TICK_SECONDS)

    def _peer(self, order: MigrationOrder) -> Path:
        peer = self._peers / order.destination
        if not (peer / "simulated" / "domains").is_dir():
            raise MigrationFailed(
                f"host {order.destination} is not reachable: there is no simulated host in {peer}. Start it there, or "
                "name the directory of the simulated hosts in SIMULATED_HOSTS_DIR"
            )
        return peer

    def _note(self, peer: Path, instance_id: str) -> Path:
        return peer / "simulated" / "domains" / f"{instance_id}.json"

    def _write(self, peer: Path, guest: GuestSpec, note: dict[str, Any]) -> None:
        side_files.write(self._note(peer, guest.instance_id), note, durable=False)


def _has_arrived(note: dict[str, Any] | None, maker: Maker) -> bool:
    return note is not None and note["action"] == maker.action_id and not note.get("is_coming")
