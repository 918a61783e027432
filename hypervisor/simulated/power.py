"""Facet `Power` as notes: the run and the saved memory of a guest are in its note, the host's boot id in a file."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from hypervisor.driver import Progress
from hypervisor.errors import GuestOff
from hypervisor.simulated.faults import Faults
from hypervisor.simulated.lifecycle import OFF, RUNNING, SHUTDOWN, SimulatedLifecycle

PAUSED = 3


class SimulatedPower:
    """See `hypervisor.driver.Power`. A simulated guest goes off when it is asked, unless its note says `is_deaf`."""

    def __init__(self, lifecycle: SimulatedLifecycle, boot_id_file: Path, faults: Faults) -> None:
        self._lifecycle = lifecycle
        self._boot_id_file = boot_id_file
        self._faults = faults

    def run(self, instance_id: str) -> str:
        """See `hypervisor.driver.Power.run`."""
        with self._faults.around("power.run"):
            found = self._lifecycle.note(instance_id)
            return "" if found is None or found["power_state"] in OFF else str(found.get("run", ""))

    def reboot(self, instance_id: str, run: str, timeout_seconds: float, progress: Progress) -> bool:
        """See `hypervisor.driver.Power.reboot`."""
        with self._faults.around("power.reboot", progress):
            found = self._defined(instance_id)
            if found["power_state"] not in OFF and found.get("run") != run:
                return True
            if found["power_state"] == PAUSED or found.get("is_deaf"):
                return False
            if found["power_state"] not in OFF:
                self._lifecycle.set_power_state(instance_id, SHUTDOWN, "shutdown")
            self._lifecycle.set_power_state(instance_id, RUNNING, "started", run=uuid.uuid4().hex)
            return True

    def pause(self, instance_id: str) -> None:
        """See `hypervisor.driver.Power.pause`."""
        with self._faults.around("power.pause"):
            if self._running(instance_id)["power_state"] != PAUSED:
                self._lifecycle.set_power_state(instance_id, PAUSED, "suspended", "user")

    def unpause(self, instance_id: str) -> None:
        """See `hypervisor.driver.Power.unpause`."""
        with self._faults.around("power.unpause"):
            if self._running(instance_id)["power_state"] == PAUSED:
                self._lifecycle.set_power_state(instance_id, RUNNING, "resumed")

    def suspend(self, instance_id: str, progress: Progress) -> None:
        """See `hypervisor.driver.Power.suspend`."""
        with self._faults.around("power.suspend", progress):
            found = self._defined(instance_id)
            if found["power_state"] in OFF and found.get("is_saved"):
                return
            self._running(instance_id)
            self._lifecycle.set_power_state(instance_id, SHUTDOWN, "stopped", "saved", is_saved=True)

    def resume(self, instance_id: str, progress: Progress) -> bool:
        """See `hypervisor.driver.Power.resume`."""
        with self._faults.around("power.resume", progress):
            found = self._lifecycle.note(instance_id)
            if found is None or (found["power_state"] in OFF and not found.get("is_saved")):
                return False
            if found["power_state"] in OFF:
                self._lifecycle.set_power_state(instance_id, RUNNING, "started", run=uuid.uuid4().hex, is_saved=False)
            return True

    def interrupt(self, instance_id: str) -> None:
        """See `hypervisor.driver.Power.interrupt`. The note counts them."""
        with self._faults.around("power.interrupt"):
            found = self._running(instance_id)
            count = int(found.get("interrupts", 0)) + 1
            self._lifecycle.set_power_state(instance_id, found["power_state"], "resumed", interrupts=count)

    def boot_id(self) -> str:
        """The simulated machine's boot id; it has one from the first question on."""
        if not self._boot_id_file.exists():
            self._new_boot()
        return self._boot_id_file.read_text()

    def lose_power(self) -> None:
        """What a power loss and a boot after it do to the machine, for tests: every guest is off, nobody saw it end."""
        for instance_id, found in self._lifecycle.domains():
            if found["power_state"] not in OFF:
                self._lifecycle.set_power_state(instance_id, SHUTDOWN, "stopped", "lost")
        self._new_boot()

    def _new_boot(self) -> None:
        draft = self._boot_id_file.with_name(f"{self._boot_id_file.name}.{uuid.uuid4().hex}")
        draft.write_text(uuid.uuid4().hex)
        draft.replace(self._boot_id_file)

    def _defined(self, instance_id: str) -> dict[str, Any]:
        found = self._lifecycle.note(instance_id)
        if found is None:
            raise GuestOff(f"The guest of instance {instance_id} is not defined on this host; start it.")
        return found

    def _running(self, instance_id: str) -> dict[str, Any]:
        found = self._defined(instance_id)
        if found["power_state"] in OFF:
            raise GuestOff(f"The guest of instance {instance_id} is off; start it.")
        return found
