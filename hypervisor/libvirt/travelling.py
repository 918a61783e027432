"""What libvirt says of a domain that goes to another host or comes from one, and the little that is done to it."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libvirt

from hypervisor.libvirt import peer_sockets
from hypervisor.libvirt.failures import is_absent
from hypervisor.libvirt.lifecycle import mark_of
from hypervisor.migration import MigrationOrder
from hypervisor.spec import Maker

log = logging.getLogger(__name__)

_QEMU_PIDS = Path("/run/libvirt/qemu")  # <domain>.pid, of the system's libvirtd
# A guest that is paused for one of these is on its way, and not yet (or no longer) its host's to run.
_ON_ITS_WAY = (
    libvirt.VIR_DOMAIN_PAUSED_MIGRATION,
    libvirt.VIR_DOMAIN_PAUSED_STARTING_UP,
    libvirt.VIR_DOMAIN_PAUSED_POSTCOPY,
)
SPLIT = libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED


def is_made_by(found: libvirt.virDomain, maker: Maker) -> bool:
    """The domain carries that action's mark."""
    mark = mark_of(found)
    return mark is not None and mark.maker.action_id == maker.action_id


def is_on(found: libvirt.virDomain) -> bool:
    """It runs, or is paused for another reason than being on its way."""
    return _unless_gone(lambda: _has_life(found), False)


def _has_life(found: libvirt.virDomain) -> bool:
    if not found.isActive():
        return False
    reason = paused_for(found)
    if reason is not None:
        return reason not in _ON_ITS_WAY
    return found.state()[0] in (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_BLOCKED)


def let_run(found: libvirt.virDomain, order: MigrationOrder) -> None:
    """After it a guest that was paused to get it across, and by a worker that may have been killed since, runs on."""
    if not order.is_paused and found.isActive() and paused_for(found) == libvirt.VIR_DOMAIN_PAUSED_USER:
        found.resume()


def paused_for(found: libvirt.virDomain) -> int | None:
    """libvirt's reason why it is paused; None when it is not."""
    state, reason = found.state()
    return int(reason) if state == libvirt.VIR_DOMAIN_PAUSED else None


def _unless_gone(look: Callable[[], bool], otherwise: bool) -> bool:
    try:
        return look()
    except libvirt.libvirtError as error:
        if is_absent(error):
            return otherwise
        raise


def measured(found: libvirt.virDomain) -> dict[str, Any]:
    """What libvirt measured of the migration that brought the guest here; nothing when it does not know any more."""
    try:
        said = found.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED | libvirt.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED)
    except libvirt.libvirtError:
        return {}
    names = {"downtime": "downtime_ms", "time_elapsed": "total_ms", "memory_total": "memory_bytes"}
    names["disk_total"] = "disk_bytes"
    return {ours: int(said[theirs]) for theirs, ours in names.items() if theirs in said}


def keep_alive(found: libvirt.virDomain, order: MigrationOrder) -> None:
    """QEMU notices in seconds when the destination loses its power (`peer_sockets`)."""
    try:
        pid = int((_QEMU_PIDS / f"{found.name()}.pid").read_text())
        address = order.destination_ip or socket.gethostbyname(order.destination)
        kept = peer_sockets.keep_alive(pid, address)
    except (OSError, ValueError) as error:
        log.debug("no keepalive for the connections of %s: %s", found.name(), error)
        return
    if kept:
        log.debug("%d connections of %s to %s have keepalive", kept, found.name(), address)
