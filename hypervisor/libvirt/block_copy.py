"""Copying the disk of a guest that runs: QEMU mirrors it to a file beside, and lets go at one moment.

The guest stays on its own disk file from beginning to end, so that whoever dies in the middle leaves nothing but a job
to end and a file to remove. What the guest's own cache has not written is not in the copy, as after a power cut.
"""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import libvirt

from hypervisor.driver import Progress
from hypervisor.errors import HypervisorFailed
from hypervisor.libvirt.failures import is_absent, is_out_of_state
from hypervisor.libvirt.xml.element import E, render
from hypervisor.libvirt.xml.reading import Mirror, disks_of

_POLL_SECONDS = 0.05
_FLAGS = libvirt.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB


def copy_live(found: libvirt.virDomain, disk: Path, destination: Path, progress: Progress) -> None:
    """After it `destination`, a qcow2 of the disk's size that exists and is empty, has what `disk` had at the end of
    the call. Errors: HypervisorFailed, libvirt's own; what `progress` raises. No job is left after an error."""
    target = _target_of(found, disk)
    xml = E.disk(E.source(file=str(destination)), E.driver(type="qcow2"), type="file")
    found.blockCopy(target, render(xml), None, _FLAGS)
    try:
        _wait_until_ready(found, target, destination, progress)
    except BaseException:
        end_copies(found)
        raise
    found.blockJobAbort(target, 0)


def end_copies(found: libvirt.virDomain) -> None:
    """After it no copy of a disk of this domain is under way; the domain keeps the disks that it has."""
    try:
        if not found.isActive():
            return
        for target, disk in disks_of(found.XMLDesc()).items():
            if disk.mirror == Mirror.COPY:
                found.blockJobAbort(target, 0)
    except libvirt.libvirtError as error:
        if not (is_absent(error) or is_out_of_state(error)):
            raise


def _target_of(found: libvirt.virDomain, disk: Path) -> str:
    for target, known in disks_of(found.XMLDesc()).items():
        if known.source == str(disk):
            return target
    raise HypervisorFailed(f"domain {found.name()} runs without {disk.name} of its instance among its disks")


def _wait_until_ready(found: libvirt.virDomain, target: str, destination: Path, progress: Progress) -> None:
    """The mirror has caught up with the guest."""
    pause = threading.Event()
    while not disks_of(found.XMLDesc())[target].is_ready:
        job = found.blockJobInfo(target, 0)
        if not job and not disks_of(found.XMLDesc())[target].is_ready:
            room = shutil.disk_usage(destination.parent).free >> 20
            raise HypervisorFailed(
                f"domain {found.name()}: the copy of its disk {target} broke off; {room} MiB are free beside it"
            )
        done, total = (int(job["cur"]), int(job["end"])) if job else (0, 0)
        progress(min(99, 100 * done // total) if total else None, f"{done >> 20} of {total >> 20} MiB are copied")
        pause.wait(_POLL_SECONDS)
