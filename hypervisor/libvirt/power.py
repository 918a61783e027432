"""Facet `Power`: a guest that runs, and its memory. Saved memory is libvirt's managed save: undefining the domain,
which every removal and rebuilding of a guest does, removes it too."""

from __future__ import annotations

import logging
import threading

import libvirt

from hypervisor.boot_id import this_boot
from hypervisor.driver import Progress
from hypervisor.errors import GuestOff, HypervisorUnreachable, StepUnknown
from hypervisor.libvirt.connection import Connection, look_up
from hypervisor.libvirt.failures import is_absent, is_out_of_state, understood
from hypervisor.libvirt.lifecycle import ask_to_shut_down, create

log = logging.getLogger(__name__)

_WATCH_SECONDS = 0.5


class LibvirtPower:
    """See `hypervisor.driver.Power`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self, instance_id: str) -> str:
        """See `hypervisor.driver.Power.run`. libvirt numbers the runs of all domains, beginning anew at each boot."""
        with understood(f"looking at the guest of instance {instance_id}"):
            found = look_up(self._connection.get(), instance_id)
            return "" if found is None else _run(found)

    def reboot(self, instance_id: str, run: str, timeout_seconds: float, progress: Progress) -> bool:
        """See `hypervisor.driver.Power.reboot`.

        libvirt's own reboot by ACPI (it turns the power-off into a reset) leaves no trace to probe: whoever comes after
        a worker that was killed could not tell whether it happened. A run that ended can be told from one that did not.
        """
        with understood(f"rebooting the guest of instance {instance_id}"):
            found = self._defined(instance_id)
            if run and _run(found) == run:
                if found.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
                    return False  # it hears no ACPI
                ask_to_shut_down(found, timeout_seconds, progress)
                if _run(found) == run:
                    return False
            create(found)
        log.info("guest of instance %s was rebooted", instance_id)
        return True

    def pause(self, instance_id: str) -> None:
        """See `hypervisor.driver.Power.pause`."""
        with understood(f"pausing the guest of instance {instance_id}"):
            found = self._running(instance_id)
            if found.state()[0] != libvirt.VIR_DOMAIN_PAUSED:
                found.suspend()
        log.info("guest of instance %s is paused", instance_id)

    def unpause(self, instance_id: str) -> None:
        """See `hypervisor.driver.Power.unpause`."""
        with understood(f"unpausing the guest of instance {instance_id}"):
            found = self._running(instance_id)
            if found.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
                found.resume()
        log.info("guest of instance %s runs on", instance_id)

    def suspend(self, instance_id: str, progress: Progress) -> None:
        """See `hypervisor.driver.Power.suspend`."""
        with understood(f"suspending the guest of instance {instance_id}"):
            found = self._defined(instance_id)
            if not found.isActive() and found.hasManagedSaveImage():
                return
            self._running(instance_id)
            with _Watch(found, progress) as watch:
                try:
                    found.managedSave()
                except libvirt.libvirtError:
                    watch.raise_if_superseded()
                    raise
        log.info("guest of instance %s is suspended", instance_id)

    def resume(self, instance_id: str, progress: Progress) -> bool:
        """See `hypervisor.driver.Power.resume`. libvirt boots a guest whose saved memory it finds incomplete."""
        with understood(f"resuming the guest of instance {instance_id}"):
            found = look_up(self._connection.get(), instance_id)
            if found is None or not (found.isActive() or found.hasManagedSaveImage()):
                return False
            progress(None, "reading the guest's memory")
            create(found)
        log.info("guest of instance %s goes on", instance_id)
        return True

    def interrupt(self, instance_id: str) -> None:
        """See `hypervisor.driver.Power.interrupt`."""
        with understood(f"interrupting the guest of instance {instance_id}"):
            found = self._running(instance_id)
        try:
            with understood(f"interrupting the guest of instance {instance_id}"):
                found.injectNMI()
        except HypervisorUnreachable as error:
            raise StepUnknown(f"{error.message}; whether the guest got its NMI is not known") from error
        log.info("guest of instance %s got an NMI", instance_id)

    def _defined(self, instance_id: str) -> libvirt.virDomain:
        found = look_up(self._connection.get(), instance_id)
        if found is None:
            raise GuestOff(f"The guest of instance {instance_id} is not defined on this host; start it.")
        return found

    def _running(self, instance_id: str) -> libvirt.virDomain:
        found = self._defined(instance_id)
        if not found.isActive():
            raise GuestOff(f"The guest of instance {instance_id} is off; start it.")
        return found


def _run(found: libvirt.virDomain) -> str:
    try:
        number = found.ID() if found.isActive() else -1
    except libvirt.libvirtError as error:
        if is_absent(error) or is_out_of_state(error):
            return ""
        raise
    return "" if number < 0 else f"{this_boot()}-{number}"


class _Watch:
    """Calls `progress` while libvirt works; ends libvirt's job when `progress` raises."""

    def __init__(self, found: libvirt.virDomain, progress: Progress) -> None:
        self._found = found
        self._progress = progress
        self._over = threading.Event()
        self._raised: BaseException | None = None
        self._thread = threading.Thread(target=self._watch, name="watch of a save", daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def raise_if_superseded(self) -> None:
        """Raises what `progress` raised, if it did."""
        if self._raised is not None:
            raise self._raised

    def _watch(self) -> None:
        while not self._over.wait(_WATCH_SECONDS):
            try:
                self._progress(None, "writing the guest's memory")
            except BaseException as error:  # handed to the step's own thread
                self._raised = error
                try:
                    self._found.abortJob()
                except libvirt.libvirtError as refusal:
                    log.warning("the save does not end: %s", refusal)
                return
