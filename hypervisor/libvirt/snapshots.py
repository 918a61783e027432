"""Facet `Snapshots`: a running guest's disk is mirrored by QEMU (`block_copy.py`), one at rest is converted."""

from __future__ import annotations

import logging

import libvirt

from hypervisor import image_upload
from hypervisor.disk_copies import DiskCopies
from hypervisor.driver import DiskCopy, Progress
from hypervisor.errors import GuestNotFound
from hypervisor.instance_files import InstanceFiles
from hypervisor.libvirt.block_copy import copy_live, end_copies
from hypervisor.libvirt.connection import Connection, look_up
from hypervisor.libvirt.disk_info import disk_info
from hypervisor.libvirt.disks import run_child
from hypervisor.libvirt.failures import understood
from hypervisor.spec import Maker

log = logging.getLogger(__name__)


class LibvirtSnapshots:
    """See `hypervisor.driver.Snapshots`. `ca_file`: authorities trusted for the image service (None: the system's)."""

    def __init__(self, connection: Connection, files: InstanceFiles, ca_file: str | None) -> None:
        self._connection = connection
        self._files = files
        self._copies = DiskCopies(files)
        self._ca_file = ca_file

    def take(self, instance_id: str, maker: Maker, progress: Progress) -> DiskCopy:
        """See `hypervisor.driver.Snapshots.take`."""
        known = self._copies.finished(instance_id, maker)
        if known is not None:
            return known
        disk, path = self._files.disk(instance_id), self._copies.path(instance_id, maker)
        if not disk.exists():
            raise GuestNotFound(f"instance {instance_id} has no disk on this host")
        with understood(f"copying the disk of instance {instance_id}"):
            self.discard(instance_id, maker)
            self._copies.remove_others(instance_id, maker)
            size = disk_info(disk).virtual_size_bytes
            found = self._running(instance_id)
            if found is not None:
                run_child(["qemu-img", "create", "-q", "-f", "qcow2", str(path), str(size)], progress)
                path.chmod(0o600)
                copy_live(found, disk, path, progress)
            else:
                # Formats are named: QEMU must not guess one from what a guest wrote.
                run_child(["qemu-img", "convert", "-f", "qcow2", "-O", "qcow2", str(disk), str(path)], progress)
                path.chmod(0o600)
        copy = self._copies.finish(instance_id, maker, size, progress)
        log.info("disk of instance %s copied, %d bytes", instance_id, copy.size_bytes)
        return copy

    def upload(self, instance_id: str, image_id: str, url: str, maker: Maker, progress: Progress) -> DiskCopy:
        """See `hypervisor.driver.Snapshots.upload`."""
        copy = self._copies.required(instance_id, maker)
        path = self._copies.path(instance_id, maker)
        image_upload.upload(image_id, url, path, copy.sha512, self._ca_file, progress)
        log.info("image %s of instance %s is with the image service", image_id, instance_id)
        return copy

    def discard(self, instance_id: str, maker: Maker) -> None:
        """See `hypervisor.driver.Snapshots.discard`."""
        with understood(f"discarding the copy of the disk of instance {instance_id}"):
            found = self._running(instance_id)
            if found is not None:
                end_copies(found)
        self._copies.remove(instance_id, maker)

    def _running(self, instance_id: str) -> libvirt.virDomain | None:
        """The domain, when it has a QEMU process: running or paused."""
        found = look_up(self._connection.get(), instance_id)
        return found if found is not None and found.isActive() else None
