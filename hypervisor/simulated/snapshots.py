"""Facet `Snapshots` as notes: the copy is a qcow2's header with the disk's note behind it.

With `SIMULATED_FETCH=1` it is really uploaded; otherwise no image service is asked, and the copy says that of itself.
"""

from __future__ import annotations

import json
import struct

from hypervisor import image_upload, side_files
from hypervisor.disk_copies import DiskCopies
from hypervisor.driver import DiskCopy, Progress
from hypervisor.errors import GuestNotFound
from hypervisor.instance_files import InstanceFiles
from hypervisor.simulated.faults import Faults
from hypervisor.spec import Maker

_CLUSTER = 65536


class SimulatedSnapshots:
    """See `hypervisor.driver.Snapshots`."""

    def __init__(self, files: InstanceFiles, ca_file: str | None, faults: Faults, *, uploads: bool) -> None:
        self._files = files
        self._copies = DiskCopies(files)
        self._ca_file = ca_file
        self._faults = faults
        self._uploads = uploads

    def take(self, instance_id: str, maker: Maker, progress: Progress) -> DiskCopy:
        """See `hypervisor.driver.Snapshots.take`."""
        with self._faults.around("snapshots.take", progress):
            known = self._copies.finished(instance_id, maker)
            if known is not None:
                return known
            disk = side_files.read(self._files.disk(instance_id))
            if disk is None:
                raise GuestNotFound(f"instance {instance_id} has no disk on this host")
            self._copies.remove_others(instance_id, maker)
            size = int(disk["size_bytes"])
            self._copies.path(instance_id, maker).write_bytes(_qcow2(size, disk))
            return self._copies.finish(instance_id, maker, size, progress, is_noted=not self._uploads)

    def upload(self, instance_id: str, image_id: str, url: str, maker: Maker, progress: Progress) -> DiskCopy:
        """See `hypervisor.driver.Snapshots.upload`."""
        with self._faults.around("snapshots.upload", progress):
            copy = self._copies.required(instance_id, maker)
            if self._uploads:
                path = self._copies.path(instance_id, maker)
                image_upload.upload(image_id, url, path, copy.sha512, self._ca_file, progress)
            return copy

    def discard(self, instance_id: str, maker: Maker) -> None:
        """See `hypervisor.driver.Snapshots.discard`."""
        with self._faults.around("snapshots.discard"):
            self._copies.remove(instance_id, maker)


def _qcow2(virtual_size: int, note: dict[str, object]) -> bytes:
    """The header of a qcow2 (version 3, QEMU's docs/interop/qcow2.txt), which is all that the image service looks at,
    and the note behind it. Not for QEMU: simulated guests boot from anything."""
    entries = max(1, -(-virtual_size // (_CLUSTER * _CLUSTER // 8)))
    header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 3, 0, 0, 16, virtual_size, 0, entries, _CLUSTER, 0, 0, 0, 0)
    header += struct.pack(">QQQII", 0, 0, 0, 4, 104)
    return header.ljust(_CLUSTER, b"\0") + json.dumps(note, sort_keys=True).encode().ljust(1024, b"\0")
