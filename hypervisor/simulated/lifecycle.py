"""Facet `Lifecycle` as notes: `<state dir>/simulated/domains/<instance id>.json` is a guest, defined and running."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

from hypervisor import side_files
from hypervisor.driver import Progress
from hypervisor.errors import HypervisorFailed
from hypervisor.instance_files import InstanceFiles
from hypervisor.port_records import PortRecords
from hypervisor.simulated.effects import Effects
from hypervisor.simulated.events import SimulatedEvents
from hypervisor.simulated.faults import Faults
from hypervisor.spec import GuestSpec, GuestState, Maker

RUNNING, PAUSED, SHUTDOWN, CRASHED = 1, 3, 4, 6
OFF = (SHUTDOWN, CRASHED)


class SimulatedLifecycle:
    """See `hypervisor.driver.Lifecycle`."""

    def __init__(
        self,
        root: Path,
        files: InstanceFiles,
        ports: PortRecords,
        events: SimulatedEvents,
        faults: Faults,
        effects: Effects | None = None,
    ) -> None:
        self._root = root
        self._files = files
        self._ports = ports
        self._events = events
        self._faults = faults
        self._effects = effects or Effects()
        root.mkdir(parents=True, exist_ok=True)

    def start(self, guest: GuestSpec, maker: Maker, progress: Progress, *, replaces: bool = False) -> None:
        """See `hypervisor.driver.Lifecycle.start`. Like QEMU it needs the disk and the networks."""
        with self._faults.around("lifecycle.start", progress):
            found = side_files.read(self._path(guest.instance_id))
            if found is not None and found["action"] != maker.action_id and not replaces:
                raise HypervisorFailed(f"domain {guest.name} is there already, made by action {found['action']}")
            is_same = found is not None and (found["action"], found["digest"]) == (maker.action_id, maker.digest)
            if found is not None and is_same and found["power_state"] == RUNNING:
                return
            self._check(guest)
            self._write(guest, maker, RUNNING)
            self._effects.happened("started", guest.instance_id)
            with open(self._files.console_log(guest.instance_id), "a", encoding="utf-8") as console:
                console.write(_boot_messages(guest))
        self._events.happened(_state(guest.instance_id, {"power_state": RUNNING, "action": maker.action_id}), "started")

    def define(self, guest: GuestSpec, maker: Maker, progress: Progress) -> None:
        """See `hypervisor.driver.Lifecycle.define`."""
        with self._faults.around("lifecycle.define", progress):
            found = side_files.read(self._path(guest.instance_id))
            self._write(guest, maker, SHUTDOWN)
            if found is None or (found["action"], found["digest"]) != (maker.action_id, maker.digest):
                self._effects.happened("defined", guest.instance_id)
        if found is not None and found["power_state"] != SHUTDOWN:
            self._events.happened(_state(guest.instance_id, {**found, "power_state": SHUTDOWN}), "stopped")

    def stop(self, instance_id: str, timeout_seconds: float, progress: Progress) -> None:
        """See `hypervisor.driver.Lifecycle.stop`. A simulated guest goes off when it is asked."""
        with self._faults.around("lifecycle.stop", progress):
            found = side_files.read(self._path(instance_id))
            if found is not None and found["power_state"] not in OFF:
                reason = "shutdown" if timeout_seconds else "destroyed"
                self.set_power_state(instance_id, SHUTDOWN, "shutdown" if timeout_seconds else "stopped", reason)

    def remove(self, instance_id: str, maker: Maker | None) -> None:
        """See `hypervisor.driver.Lifecycle.remove`."""
        with self._faults.around("lifecycle.remove"):
            found = side_files.read(self._path(instance_id))
            if found is None or (maker is not None and found["action"] != maker.action_id):
                return
            self._path(instance_id).unlink(missing_ok=True)
            self._effects.happened("removed", instance_id)
        stopped = _state(instance_id, {**found, "power_state": SHUTDOWN})
        self._events.happened(stopped, "stopped")
        self._events.happened(stopped, "undefined")

    def settle(self, instance_id: str) -> None:
        """Simulated guests have no jobs."""
        with self._faults.around("lifecycle.settle"):
            return

    def state(self, instance_id: str) -> GuestState | None:
        """See `hypervisor.driver.Lifecycle.state`."""
        found = side_files.read(self._path(instance_id))
        return None if found is None else _state(instance_id, found)

    def guests(self) -> list[GuestState]:
        """See `hypervisor.driver.Lifecycle.guests`."""
        return [_state(instance_id, found) for instance_id, found in self.domains()]

    def set_power_state(self, instance_id: str, power_state: int, event: str, reason: str = "", **changes: Any) -> None:
        """What a guest does by itself, for tests too: it shuts down, crashes, comes back. `changes`: of its note."""
        found = self.note(instance_id)
        if found is None:
            raise KeyError(instance_id)
        if not reason and event in ("shutdown", "crashed"):
            reason = event
        changed = {**found, "power_state": power_state, "reason": reason, **changes}
        side_files.write(self._path(instance_id), changed, durable=False)
        self._effects.happened(f"{event} {reason}".strip(), instance_id)
        self._events.happened(_state(instance_id, changed), event)

    def note(self, instance_id: str) -> dict[str, Any] | None:
        """The guest's note; None when there is no such guest."""
        return side_files.read(self._path(instance_id))

    def domains(self) -> list[tuple[str, dict[str, Any]]]:
        """All notes, by instance id."""
        found = ((name, side_files.read(self._root / name)) for name in os.listdir(self._root))
        return [(name.removesuffix(".json"), data) for name, data in found if data and name.endswith(".json")]

    def _check(self, guest: GuestSpec) -> None:
        if not self._files.disk(guest.instance_id).exists():
            raise HypervisorFailed(f"starting the guest of instance {guest.instance_id}: it has no disk here")
        if guest.rescue is not None and not self._files.rescue_disk(guest.instance_id).exists():
            raise HypervisorFailed(f"starting the guest of instance {guest.instance_id}: it has no rescue disk here")
        for nic in guest.nics:
            if self._ports.is_empty(nic.network.id):
                raise HypervisorFailed(
                    f"starting the guest of instance {guest.instance_id}: no network {nic.network.bridge}"
                )

    def _write(self, guest: GuestSpec, maker: Maker, power_state: int) -> None:
        note = {
            "name": guest.name,
            "action": maker.action_id,
            "digest": maker.digest,
            "power_state": power_state,
            "run": uuid.uuid4().hex,
            "disks": ["disk.rescue", "disk"] if guest.rescue else ["disk"],
            "memory_mib": guest.memory_mib,
            "vcpus": guest.vcpus,
        }
        side_files.write(self._path(guest.instance_id), note, durable=False)

    def _path(self, instance_id: str) -> Path:
        return self._root / f"{instance_id}.json"


def _state(instance_id: str, note: dict[str, Any]) -> GuestState:
    return GuestState(
        instance_id=instance_id,
        power_state=int(note.get("power_state", 0)),
        action_id=str(note.get("action", "")),
        reason=str(note.get("reason", "")),
    )


def _boot_messages(guest: GuestSpec) -> str:
    addresses = " ".join(f"eth{index}={nic.ip}/{nic.prefix}" for index, nic in enumerate(guest.nics))
    source = "configdrive" if guest.config_drive else "none"
    return (
        f"simulated: kernel up, cpus={guest.vcpus} mem={guest.memory_mib * 1024}kB\n"
        f"simulated: net {addresses}\n"
        f"simulated: metadata={source} uuid={guest.instance_id} hostname={guest.hostname}\n"
        "simulated: BOOT-OK\n"
    )
