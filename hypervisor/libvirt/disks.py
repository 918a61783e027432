"""Facet `Disks`: qcow2 overlays on base images, and config drives.

libvirtd gives the files to QEMU's user when the guest starts (dynamic ownership) and takes them back when it ends, so
they are made for their owner alone; directories above them must let that user pass.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from hypervisor import config_drive
from hypervisor.driver import BaseImage, Progress
from hypervisor.errors import HypervisorFailed, NoSpace
from hypervisor.instance_files import InstanceFiles, Made, disk_bytes
from hypervisor.spec import GuestSpec, Maker

log = logging.getLogger(__name__)

_FULL = (errno.ENOSPC, errno.EDQUOT)


class QcowDisks:
    """See `hypervisor.driver.Disks`."""

    def __init__(self, files: InstanceFiles) -> None:
        self._files = files

    def create(
        self,
        guest: GuestSpec,
        base: BaseImage,
        maker: Maker,
        progress: Progress,
        *,
        stands_alone: bool = False,
        size_bytes: int | None = None,
    ) -> None:
        """See `hypervisor.driver.Disks.create`. `size_bytes`: of the disk, when it is not the flavor's; a base without
        a path is none, and the disk stands on nothing."""
        size = disk_bytes(guest, base) if size_bytes is None else size_bytes
        made = self._files.made(guest.instance_id)
        if made and made.is_complete and made.maker == maker and self._files.disk(guest.instance_id).exists():
            return
        with room_for(guest.instance_id):
            self._files.sign(guest.instance_id, Made(maker=maker, base=base.path, is_complete=False))
            make = make_copy if stands_alone else make_overlay
            make(self._files.disk(guest.instance_id), base, size, progress)
            drive = self._files.config_drive(guest.instance_id)
            if guest.config_drive is not None:
                config_drive.write(guest.config_drive, drive)
            else:
                drive.unlink(missing_ok=True)
            stands_on = "" if stands_alone else base.path
            self._files.sign(guest.instance_id, Made(maker=maker, base=stands_on, is_complete=True))
        log.info("disk of instance %s made, %d bytes on %s", guest.instance_id, size, Path(base.path).name[:16])

    def delete(self, instance_id: str, maker: Maker | None) -> None:
        """See `hypervisor.driver.Disks.delete`."""
        self._files.remove(instance_id, maker)

    def take_over(self, instance_id: str) -> None:
        """See `hypervisor.driver.Disks.take_over`."""
        self._files.check_there(instance_id)


def make_overlay(path: Path, base: BaseImage, size: int, progress: Progress) -> None:
    """After it `path` is an empty qcow2 of `size` bytes, an overlay on `base` where that has a path. Errors: NoSpace,
    HypervisorFailed."""
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    command = ["qemu-img", "create", "-q", "-f", "qcow2"]
    command += ["-F", base.disk_format, "-b", base.path] if base.path else []
    run_child([*command, str(draft), str(size)], progress)
    draft.chmod(0o600)
    draft.rename(path)


def make_copy(path: Path, base: BaseImage, size: int, progress: Progress) -> None:
    """After it `path` is a qcow2 of `size` bytes with the content of `base`, which it needs no more. Errors: NoSpace,
    HypervisorFailed."""
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    run_child(["qemu-img", "convert", "-f", base.disk_format, "-O", "qcow2", base.path, str(draft)], progress)
    run_child(["qemu-img", "resize", "-q", str(draft), str(size)], progress)
    draft.chmod(0o600)
    draft.rename(path)


def run_child(command: list[str], progress: Progress) -> None:
    """Runs `command` to its end, calling `progress` each second; the child inherits the target's lock (rule R3).

    Errors: NoSpace; HypervisorFailed with the command's last words; what `progress` raises, after ending the child.
    """
    inherited = (progress.lock_fd,) if progress.lock_fd >= 0 else ()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=inherited) as child:
        try:
            while True:
                try:
                    _, complaint = child.communicate(timeout=1)
                    break
                except subprocess.TimeoutExpired:
                    progress(None, f"{command[0]} works")
        except BaseException:
            child.kill()
            raise
    if child.returncode != 0:
        words = complaint.decode(errors="replace").strip()
        failed = NoSpace if os.strerror(errno.ENOSPC) in words else HypervisorFailed
        raise failed(f"{command[0]} {command[1]} ended with {child.returncode}: {words}")


@contextlib.contextmanager
def room_for(instance_id: str) -> Iterator[None]:
    """Turns errors of the file system inside it into NoSpace or HypervisorFailed."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise NoSpace(f"no room for the disk of instance {instance_id}: {error}") from error
        raise HypervisorFailed(f"the disk of instance {instance_id} cannot be made: {error}") from error


def can_do_direct_io(directory: Path) -> bool:
    """Whether files in `directory` can be opened past the page cache, as the cache mode "none" does."""
    probe = directory / f".direct-io-{os.getpid()}"
    try:
        os.close(os.open(probe, os.O_RDWR | os.O_CREAT | os.O_DIRECT | os.O_CLOEXEC, 0o600))
        return True
    except OSError as error:
        if error.errno == errno.EINVAL:
            return False
        raise
    finally:
        probe.unlink(missing_ok=True)


def closed_directory(path: Path) -> Path | None:
    """The first directory on the way to `path` that other users cannot pass; None when QEMU's user gets there."""
    for directory in (*reversed(path.resolve().parents), path.resolve()):
        if directory.exists() and not directory.stat().st_mode & 0o001:
            return directory
    return None
