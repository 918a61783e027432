"""Facet `Lifecycle`: domains. A domain carries its maker in its metadata; what another action made is not touched."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import libvirt

from hypervisor.driver import Progress
from hypervisor.errors import HypervisorFailed
from hypervisor.instance_files import InstanceFiles
from hypervisor.libvirt.block_copy import end_copies
from hypervisor.libvirt.connection import Connection, look_up
from hypervisor.libvirt.failures import is_absent, is_out_of_state, understood
from hypervisor.libvirt.observed import observed
from hypervisor.libvirt.xml.domain import domain
from hypervisor.libvirt.xml.element import KILONOVA
from hypervisor.libvirt.xml.reading import Mark, read_mark
from hypervisor.libvirt.xml.traits import GuestPaths, HostTraits
from hypervisor.spec import GuestSpec, GuestState, Maker

log = logging.getLogger(__name__)

_UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)
_DESTROY_ATTEMPTS = 3  # QEMU in an uninterruptible read outlives libvirt's patience
_ASK_AGAIN_SECONDS = 10.0
_STOP_POLL = 0.2
_SETTLE_SECONDS = 30.0
_SETTLE_POLL = 0.1


class LibvirtLifecycle:
    """See `hypervisor.driver.Lifecycle`. `traits` is asked when a domain is built."""

    def __init__(self, connection: Connection, files: InstanceFiles, traits: Callable[[], HostTraits]) -> None:
        self._connection = connection
        self._files = files
        self._traits = traits

    def start(self, guest: GuestSpec, maker: Maker, progress: Progress, *, replaces: bool = False) -> None:
        """See `hypervisor.driver.Lifecycle.start`."""
        with understood(f"starting the guest of instance {guest.instance_id}"):
            found = self.find(guest.instance_id)
            if found is not None:
                mark = mark_of(found)
                is_own = mark is not None and mark.maker.action_id == maker.action_id
                if not (is_own or (replaces and mark is not None)):
                    other = f"action {mark.maker.action_id}" if mark else "nobody of this cloud"
                    raise HypervisorFailed(f"domain {guest.name} is there already, made by {other}")
                if mark is None or mark.maker != maker:
                    _remove(found)
                    found = None
            if found is None:
                found = self._define(guest, maker)
            progress(None, "starting the guest")
            create(found)
        log.info("guest of instance %s runs as domain %s", guest.instance_id, guest.name)

    def define(self, guest: GuestSpec, maker: Maker, progress: Progress) -> None:
        """See `hypervisor.driver.Lifecycle.define`. A domain that nobody of this cloud made is not touched."""
        with understood(f"defining the guest of instance {guest.instance_id}"):
            found = self.find(guest.instance_id)
            if found is not None:
                mark = mark_of(found)
                if mark is None:
                    raise HypervisorFailed(f"domain {guest.name} is there already, made by nobody of this cloud")
                if mark.maker == maker and not found.isActive():
                    return
                _remove(found)
            self._define(guest, maker)
        log.info("guest of instance %s is defined as domain %s", guest.instance_id, guest.name)

    def stop(self, instance_id: str, timeout_seconds: float, progress: Progress) -> None:
        """See `hypervisor.driver.Lifecycle.stop`. A paused guest hears no ACPI: it is ended at once."""
        with understood(f"stopping the guest of instance {instance_id}"):
            found = self.find(instance_id)
            if found is None or not found.isActive():
                return
            if timeout_seconds > 0 and found.state()[0] != libvirt.VIR_DOMAIN_PAUSED:
                ask_to_shut_down(found, timeout_seconds, progress)
            _destroy(found)
        log.info("guest of instance %s is off", instance_id)

    def remove(self, instance_id: str, maker: Maker | None) -> None:
        """See `hypervisor.driver.Lifecycle.remove`."""
        with understood(f"removing the guest of instance {instance_id}"):
            found = self.find(instance_id)
            if found is None:
                return
            if maker is not None:
                mark = mark_of(found)
                if mark is None or mark.maker.action_id != maker.action_id:
                    return
            _remove(found)
        log.info("guest of instance %s removed", instance_id)

    def settle(self, instance_id: str) -> None:
        """See `hypervisor.driver.Lifecycle.settle`. Errors: HypervisorFailed, when the job does not end."""
        with understood(f"settling the guest of instance {instance_id}"):
            found = self.find(instance_id)
            if found is None:
                return
            end_copies(found)
            if not has_job(found):
                return
            log.warning("instance %s: ending a job that an interrupted worker left behind", instance_id)
            try:
                found.abortJob()
            except libvirt.libvirtError as error:
                if not (is_out_of_state(error) or is_absent(error)):
                    raise
            deadline, pause = time.monotonic() + _SETTLE_SECONDS, threading.Event()
            while has_job(found):
                if time.monotonic() >= deadline:
                    raise HypervisorFailed(f"a job on the guest of instance {instance_id} does not end")
                pause.wait(_SETTLE_POLL)

    def state(self, instance_id: str) -> GuestState | None:
        """See `hypervisor.driver.Lifecycle.state`."""
        with understood(f"looking at the guest of instance {instance_id}"):
            found = self.find(instance_id)
            return None if found is None else _state(found)

    def guests(self) -> list[GuestState]:
        """See `hypervisor.driver.Lifecycle.guests`."""
        with understood("listing guests"):
            return [state for found in self._connection.get().listAllDomains() if (state := _state(found))]

    def find(self, instance_id: str) -> libvirt.virDomain | None:
        """libvirt's domain of that id; None when there is none."""
        return look_up(self._connection.get(), instance_id)

    def _define(self, guest: GuestSpec, maker: Maker) -> libvirt.virDomain:
        instance_id, is_rescued = guest.instance_id, guest.rescue is not None
        drive = self._files.rescue_config_drive if is_rescued else self._files.config_drive
        paths = GuestPaths(
            disk=self._files.disk(instance_id),
            config_drive=drive(instance_id) if guest.config_drive else None,
            console_log=self._files.console_log(instance_id),
            rescue_disk=self._files.rescue_disk(instance_id) if is_rescued else None,
        )
        xml = domain(guest, maker, paths, self._traits())
        log.debug("defining domain %s", xml)
        return self._connection.get().defineXML(xml)


def mark_of(found: libvirt.virDomain) -> Mark | None:
    """Whose the domain is; None when it is not of this cloud, or gone."""
    try:
        return read_mark(found.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, KILONOVA))
    except libvirt.libvirtError as error:
        if is_absent(error):
            return None
        raise


def _state(found: libvirt.virDomain) -> GuestState | None:
    mark = mark_of(found)
    if mark is None:
        return None
    try:
        power_state, reason = observed(*found.state())
    except libvirt.libvirtError as error:
        if is_absent(error):
            return None
        raise
    return GuestState(
        instance_id=found.UUIDString(),
        power_state=power_state,
        action_id=mark.maker.action_id,
        reason=reason,
    )


def create(found: libvirt.virDomain) -> None:
    """After it the domain runs."""
    if found.isActive():
        return
    try:
        found.create()
    except libvirt.libvirtError as error:
        if not (is_out_of_state(error) and found.isActive()):
            raise


def ask_to_shut_down(found: libvirt.virDomain, timeout_seconds: float, progress: Progress) -> None:
    """Asks by ACPI, again every few seconds (a guest that is still booting does not hear it), until the guest is off or
    the time is over."""
    begun, pause = time.monotonic(), threading.Event()
    asked_at = -_ASK_AGAIN_SECONDS
    while found.isActive() and (waited := time.monotonic() - begun) < timeout_seconds:
        if waited - asked_at >= _ASK_AGAIN_SECONDS:
            asked_at = waited
            try:
                found.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
            except libvirt.libvirtError as error:
                if is_out_of_state(error) or is_absent(error):
                    return
                raise
        progress(int(100 * waited / timeout_seconds), "waiting for the guest to shut down")
        pause.wait(_STOP_POLL)


def _destroy(found: libvirt.virDomain) -> None:
    """After it the domain does not run."""
    for attempt in range(1, _DESTROY_ATTEMPTS + 1):
        try:
            found.destroy()
            return
        except libvirt.libvirtError as error:
            if is_absent(error) or is_out_of_state(error):
                return
            if attempt == _DESTROY_ATTEMPTS or error.get_error_code() != libvirt.VIR_ERR_SYSTEM_ERROR:
                raise


def _remove(found: libvirt.virDomain) -> None:
    """After it the domain neither runs nor is defined."""
    _destroy(found)
    try:
        found.undefineFlags(_UNDEFINE)
    except libvirt.libvirtError as error:
        if not is_absent(error):
            raise


def has_job(found: libvirt.virDomain) -> bool:
    """Whether something long is going on with it: a migration, a save."""
    try:
        return bool(found.isActive()) and found.jobInfo()[0] in (
            libvirt.VIR_DOMAIN_JOB_BOUNDED,
            libvirt.VIR_DOMAIN_JOB_UNBOUNDED,
        )
    except libvirt.libvirtError as error:
        if is_absent(error) or is_out_of_state(error):
            return False
        raise
