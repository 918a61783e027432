"""Facet `Moves`: qcow2 overlays set aside, copied within one storage or read from the host that has them."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import re
from pathlib import Path

from hypervisor import config_drive
from hypervisor.driver import BaseImage, Progress
from hypervisor.errors import DiskLost, DiskTooSmall, DiskUnmovable, HypervisorFailed, NoSpace
from hypervisor.file_copies import copy_file, sha256_of, write_verified
from hypervisor.image_cache import ImageCache
from hypervisor.instance_files import InstanceFiles, Made
from hypervisor.libvirt.disk_info import disk_info
from hypervisor.libvirt.disks import room_for, run_child
from hypervisor.libvirt.peers import Peers
from hypervisor.moves import AsideDisk, DiskOrigin
from hypervisor.spec import GuestSpec, ImageSource, Maker

log = logging.getLogger(__name__)

_GIB = 1024**3
_SHA512 = re.compile("[0-9a-f]{128}")


class LibvirtMoves:
    """See `hypervisor.driver.Moves`."""

    def __init__(self, files: InstanceFiles, cache: ImageCache, peers: Peers) -> None:
        self._files = files
        self._cache = cache
        self._peers = peers

    def describe(self, instance_id: str) -> DiskOrigin:
        """See `hypervisor.driver.Moves.describe`."""
        disk = self._files.disk(instance_id)
        if not disk.exists():
            raise DiskLost(f"instance {instance_id} has no disk at {disk}")
        told = disk_info(disk)
        base = told.backing
        if not base:
            return DiskOrigin(virtual_size_bytes=told.virtual_size_bytes)
        if not _SHA512.fullmatch(Path(base).name):
            raise DiskUnmovable(f"the disk of instance {instance_id} stands on {base}, which is no base image")
        below = disk_info(Path(base), told.backing_format)
        return DiskOrigin(
            virtual_size_bytes=told.virtual_size_bytes,
            base=base,
            base_format=told.backing_format,
            base_size_bytes=os.stat(base).st_size,
            base_virtual_bytes=below.virtual_size_bytes,
        )

    def bring_base(self, image: ImageSource, origin: DiskOrigin, peer: str, progress: Progress) -> BaseImage | None:
        """See `hypervisor.driver.Moves.bring_base`. The name of a base is its SHA-512: what comes is checked by it."""
        if not origin.base:
            return None
        sha512 = Path(origin.base).name
        if image.url and image.sha512 == sha512:
            return self._cache.fetch(image, progress)
        wanted = dataclasses.replace(
            image,
            sha512=sha512,
            disk_format=origin.base_format,
            size_bytes=origin.base_size_bytes,
            virtual_size_bytes=origin.base_virtual_bytes,
            url="",
        )
        doing = f"reading base image {sha512[:16]}"
        return self._cache.fetch(wanted, progress, lambda: self._peers.read(peer, origin.base, doing))

    def set_aside(self, instance_id: str, action_id: str, *, hashes: bool, progress: Progress) -> AsideDisk:
        """See `hypervisor.driver.Moves.set_aside`."""
        try:
            disk = self._files.set_aside(instance_id, action_id) / "disk"
            size = disk.stat().st_size
        except FileNotFoundError as error:
            raise DiskLost(f"instance {instance_id} has no disk here: {error}") from error
        sha256 = sha256_of(disk, progress) if hashes else ""
        return AsideDisk(action_id=action_id, path=str(disk), size_bytes=size, sha256=sha256)

    def check_aside(self, instance_id: str, action_id: str) -> None:
        """See `hypervisor.driver.Moves.check_aside`."""
        disk = self._files.aside(instance_id, action_id) / "disk"
        if not disk.exists():
            raise DiskLost(f"the disk that was kept of instance {instance_id} is not there: {disk}")

    def put_back(self, instance_id: str, action_id: str) -> bool:
        """See `hypervisor.driver.Moves.put_back`."""
        try:
            return self._files.put_back(instance_id, action_id)
        except OSError as error:
            raise HypervisorFailed(f"the kept disk of instance {instance_id} cannot be put back: {error}") from error

    def bring_disk(
        self,
        guest: GuestSpec,
        aside: AsideDisk,
        base: BaseImage | None,
        peer: str,
        maker: Maker,
        progress: Progress,
    ) -> None:
        """See `hypervisor.driver.Moves.bring_disk`."""
        instance_id, disk = guest.instance_id, self._files.disk(guest.instance_id)
        made = self._files.made(instance_id)
        if made and made.is_complete and made.maker == maker and disk.exists():
            return
        mine = Made(maker=maker, base=base.path if base else "", is_complete=False)
        with room_for(instance_id):
            self._files.sign(instance_id, mine)
            draft = disk.with_name("disk.draft")
            draft.unlink(missing_ok=True)
            self._check_room(aside)
            if peer:
                doing = f"reading the disk of instance {instance_id}"
                with contextlib.closing(self._peers.read(peer, aside.path, doing)) as pieces:
                    write_verified(pieces, draft, aside.size_bytes, aside.sha256, progress)
            else:
                self.check_aside(instance_id, aside.action_id)
                copy_file(self._files.aside(instance_id, aside.action_id) / "disk", draft, progress)
            _fit(draft, guest, base, progress)
            draft.chmod(0o600)
            draft.rename(disk)
            if guest.config_drive is not None:
                config_drive.write(guest.config_drive, self._files.config_drive(instance_id))
            self._files.sign(instance_id, dataclasses.replace(mine, is_complete=True))
        log.info("disk of instance %s brought from %s", instance_id, peer or "this storage")

    def discard(self, instance_id: str, action_id: str) -> None:
        """See `hypervisor.driver.Moves.discard`."""
        self._files.discard_aside(instance_id, action_id)

    def _check_room(self, aside: AsideDisk) -> None:
        room = os.statvfs(self._files.root)
        if room.f_bavail * room.f_frsize < aside.size_bytes:
            raise NoSpace(f"the disk has {aside.size_bytes} bytes, and {self._files.root} has no room for them")


def _fit(disk: Path, guest: GuestSpec, base: BaseImage | None, progress: Progress) -> None:
    """After it the disk stands on `base` where that is on this host, and is as large as the flavor says."""
    told = disk_info(disk)
    if base is not None and told.backing != base.path:
        rebase = ["qemu-img", "rebase", "-u", "-f", "qcow2", "-F", base.disk_format, "-b", base.path, str(disk)]
        run_child(rebase, progress)
    wanted = guest.disk_gib * _GIB
    if 0 < wanted < told.virtual_size_bytes:
        raise DiskTooSmall(
            f"the flavor's disk has {guest.disk_gib} GiB, the disk of instance {guest.instance_id} "
            f"{told.virtual_size_bytes} bytes: a disk does not shrink",
            disk_bytes=wanted,
            image_bytes=told.virtual_size_bytes,
        )
    if wanted > told.virtual_size_bytes:
        run_child(["qemu-img", "resize", "-q", "-f", "qcow2", str(disk), str(wanted)], progress)
