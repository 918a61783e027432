"""libvirt's state and reason of a domain, as the cloud's power_state and reason."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import libvirt

CRASHED: Final = 6
# OpenStack's numbers (nova.compute.power_state) for libvirt's states. Blocked is running that waits for I/O.
POWER_STATES: Final = MappingProxyType(
    {
        libvirt.VIR_DOMAIN_NOSTATE: 0,
        libvirt.VIR_DOMAIN_RUNNING: 1,
        libvirt.VIR_DOMAIN_BLOCKED: 1,
        libvirt.VIR_DOMAIN_PAUSED: 3,
        libvirt.VIR_DOMAIN_SHUTDOWN: 4,
        libvirt.VIR_DOMAIN_SHUTOFF: 4,
        libvirt.VIR_DOMAIN_CRASHED: CRASHED,
        libvirt.VIR_DOMAIN_PMSUSPENDED: 7,
    }
)
# libvirtd keeps the reason in its memory alone: after its restart a domain that is off has none ("lost").
_OFF: Final = MappingProxyType(
    {
        libvirt.VIR_DOMAIN_SHUTOFF_UNKNOWN: "lost",
        libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN: "shutdown",
        libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED: "destroyed",
        libvirt.VIR_DOMAIN_SHUTOFF_CRASHED: "crashed",
        libvirt.VIR_DOMAIN_SHUTOFF_MIGRATED: "migrated",
        libvirt.VIR_DOMAIN_SHUTOFF_SAVED: "saved",
        libvirt.VIR_DOMAIN_SHUTOFF_FAILED: "failed",
        libvirt.VIR_DOMAIN_SHUTOFF_FROM_SNAPSHOT: "snapshot",
        libvirt.VIR_DOMAIN_SHUTOFF_DAEMON: "lost",
    }
)
_PAUSED: Final = MappingProxyType(
    {
        libvirt.VIR_DOMAIN_PAUSED_USER: "user",
        libvirt.VIR_DOMAIN_PAUSED_IOERROR: "io_error",
        libvirt.VIR_DOMAIN_PAUSED_WATCHDOG: "watchdog",
        libvirt.VIR_DOMAIN_PAUSED_CRASHED: "crashed",
    }
)


def observed(state: int, reason: int) -> tuple[int, str]:
    """The power_state, and why the guest is off or paused ("" when nothing is to be said). A guest whose QEMU ended
    without being told to is off for libvirt, and crashed for the cloud."""
    power_state = POWER_STATES.get(state, 0)
    if state == libvirt.VIR_DOMAIN_SHUTOFF:
        word = _OFF.get(reason, "")
        return (CRASHED if word == "crashed" else power_state), word
    if state == libvirt.VIR_DOMAIN_PAUSED:
        return power_state, _PAUSED.get(reason, "")
    return power_state, "crashed" if power_state == CRASHED else ""
