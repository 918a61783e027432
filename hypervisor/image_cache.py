"""The host's cache of base images: facet `Images`, the same for every driver that needs real bytes.

`<base dir>/<sha512>` is the image, read only. Beside it `<sha512>.json` says at which size and stamp it was verified,
and its own mtime says when it was last used. `<sha512>.lock` is held (flock: across threads and processes) by whoever
downloads, verifies or prunes. Downloads happen in `<sha512>.<pid>.part` and are renamed when all is checked.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hypervisor import file_locks, side_files
from hypervisor.driver import BaseImage, Progress
from hypervisor.errors import ImageRefused, NoSpace
from hypervisor.image_download import chunks
from hypervisor.image_format import inspect
from hypervisor.instance_files import make_directory
from hypervisor.spec import ImageSource

log = logging.getLogger(__name__)

_CHUNK_BYTES = 1024 * 1024
_SHA512 = re.compile("[0-9a-f]{128}")
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class ImageCache:
    """Facet `Images` on one directory. `ca_file`: authorities trusted for the image service (None: the system's);
    `bases_in_use`: paths of the images that disks of this host stand on."""

    base_dir: Path
    ca_file: str | None = None
    bases_in_use: Callable[[], set[str]] = set

    def fetch(
        self, image: ImageSource, progress: Progress, pieces: Callable[[], Iterator[bytes]] | None = None
    ) -> BaseImage:
        """See `hypervisor.driver.Images.fetch`. `progress` is called for each MiB and each wait. `pieces` gives the
        bytes when they are to come from elsewhere than the image service."""
        make_directory(self.base_dir)
        if not _SHA512.fullmatch(image.sha512):
            raise ImageRefused(f"image {image.id}: {image.sha512!r} is no SHA-512 in hex digits")
        entry = _Entry(self.base_dir, image.sha512)
        with file_locks.tried(entry.lock, file_locks.SHARED) as got:
            if got and (size := entry.trusted(image)) is not None:
                return self._base(entry, image, size)
        waiting = functools.partial(progress, None, "waiting for another download of this image")
        with file_locks.held(entry.lock, file_locks.EXCLUSIVE, waiting):
            size = entry.trusted(image)
            if size is None:
                size = self._verify(entry, image, progress)
            if size is None:
                size = self._download(entry, image, progress, pieces)
            return self._base(entry, image, size)

    def prune(self, older_than_days: float, in_use: frozenset[str] | set[str] = frozenset()) -> list[str]:
        """Removes images that no fetch asked for in that many days; returns their paths. Those that a disk stands on,
        those named in `in_use`, and one that is being fetched or verified right now stay."""
        removed: list[str] = []
        spared = self.bases_in_use() | in_use
        oldest = time.time() - older_than_days * 86400
        for path in sorted(self.base_dir.glob("*")):
            if not _SHA512.fullmatch(path.name) or str(path) in spared:
                continue
            entry = _Entry(self.base_dir, path.name)
            with file_locks.tried(entry.lock, file_locks.EXCLUSIVE) as got:
                if got and entry.last_used() < oldest:
                    entry.discard()
                    entry.lock.unlink(missing_ok=True)
                    removed.append(str(path))
                    log.info("base image %s pruned, unused for %s days", path.name[:16], older_than_days)
        return removed

    def _base(self, entry: _Entry, image: ImageSource, virtual_size: int) -> BaseImage:
        return BaseImage(path=str(entry.path), disk_format=image.disk_format, virtual_size_bytes=virtual_size)

    def _verify(self, entry: _Entry, image: ImageSource, progress: Progress) -> int | None:
        """The virtual size of the file that is there, when its bytes are right after all; None when they are not."""
        if not entry.path.exists():
            return None
        checked = hashlib.sha512()
        with open(entry.path, "rb") as stream:
            while piece := stream.read(_CHUNK_BYTES):
                checked.update(piece)
                progress(None, "verifying the cached image")
        if checked.hexdigest() != entry.sha512:
            log.warning("cached image %s is damaged: fetching it afresh", entry.sha512[:16])
            return None
        return entry.trust(image, inspect_declared(entry.path, image))

    def _download(
        self, entry: _Entry, image: ImageSource, progress: Progress, pieces: Callable[[], Iterator[bytes]] | None
    ) -> int:
        entry.distrust()
        room = os.statvfs(self.base_dir)
        if room.f_bavail * room.f_frsize < image.size_bytes:
            raise NoSpace(f"image {image.id} has {image.size_bytes} bytes, and {self.base_dir} has no room for them")
        part = self.base_dir / f"{entry.sha512}.{os.getpid()}.part"
        try:
            coming = pieces() if pieces is not None else chunks(image, self.ca_file, _CHUNK_BYTES)
            self._write(part, entry, image, coming, progress)
            virtual_size = inspect_declared(part, image)
            os.rename(part, entry.path)
            side_files.sync_directory(self.base_dir)
        except OSError as error:
            if error.errno in _FULL:
                raise NoSpace(f"image {image.id}: {self.base_dir} is full: {error}") from error
            raise
        finally:
            part.unlink(missing_ok=True)
        log.info("image %s fetched into the cache, %d bytes", image.id, image.size_bytes)
        return entry.trust(image, virtual_size)

    def _write(
        self, part: Path, entry: _Entry, image: ImageSource, pieces: Iterator[bytes], progress: Progress
    ) -> None:
        received, checked = 0, hashlib.sha512()
        with open(part, "xb") as stream:
            for piece in pieces:
                received += len(piece)
                if received > image.size_bytes:
                    raise ImageRefused(f"image {image.id}: more bytes came than its {image.size_bytes}")
                checked.update(piece)
                stream.write(piece)
                progress(
                    100 * received // max(image.size_bytes, 1), f"{received >> 20} of {image.size_bytes >> 20} MiB"
                )
            if received != image.size_bytes:
                raise ImageRefused(f"image {image.id}: {received} bytes came, it has {image.size_bytes}")
            if checked.hexdigest() != entry.sha512:
                raise ImageRefused(f"image {image.id}: the bytes that came have another SHA-512 than the catalogue's")
            stream.flush()
            os.fsync(stream.fileno())
            os.fchmod(stream.fileno(), 0o444)


def inspect_declared(path: Path, image: ImageSource) -> int:
    """The virtual size, in bytes, of `image`'s file. Errors: ImageRefused, also when it is larger than declared."""
    virtual_size = inspect(path, image.disk_format, image.id)
    if virtual_size > image.virtual_size_bytes:
        raise ImageRefused(
            f"image {image.id}: its disk has {virtual_size} bytes, the catalogue says {image.virtual_size_bytes}"
        )
    return virtual_size


class _Entry:
    """One image's three files."""

    def __init__(self, base_dir: Path, sha512: str) -> None:
        self.sha512 = sha512
        self.path = base_dir / sha512
        self.side = base_dir / f"{sha512}.json"
        self.lock = base_dir / f"{sha512}.lock"

    def trusted(self, image: ImageSource) -> int | None:
        """The virtual size when the file is as it was verified for that format; marks it as used. None: verify it."""
        try:
            os.utime(self.side)
            found = self.path.stat()
        except FileNotFoundError:
            return None
        known = side_files.read(self.side) or {}
        expected = (found.st_size, found.st_mtime_ns, image.disk_format)
        if (known.get("size"), known.get("mtime_ns"), known.get("format")) != expected:
            return None
        virtual_size = int(known["virtual_size"])
        return virtual_size if virtual_size <= image.virtual_size_bytes else None

    def trust(self, image: ImageSource, virtual_size: int) -> int:
        """Records that the file as it is now was verified."""
        found = self.path.stat()
        data = {
            "size": found.st_size,
            "mtime_ns": found.st_mtime_ns,
            "format": image.disk_format,
            "virtual_size": virtual_size,
        }
        side_files.write(self.side, data)
        return virtual_size

    def last_used(self) -> float:
        """When a fetch last asked for it, in seconds since the epoch."""
        for path in (self.side, self.path):
            with contextlib.suppress(FileNotFoundError):
                return path.stat().st_mtime
        return time.time()

    def distrust(self) -> None:
        """Forgets what was verified and removes what interrupted downloads left; to be called under the lock. The image
        itself stays until a good one is renamed over it: disks may stand on it."""
        self.side.unlink(missing_ok=True)
        for part in self.path.parent.glob(f"{self.sha512}.*.part"):
            part.unlink(missing_ok=True)

    def discard(self) -> None:
        """Removes all of the image but its lock; to be called under the lock."""
        self.distrust()
        self.path.unlink(missing_ok=True)
