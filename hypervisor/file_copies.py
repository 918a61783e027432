"""Copies of large files, with progress: within one storage, and from pieces that come from elsewhere, verified."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from hypervisor.driver import Progress
from hypervisor.errors import CopyDamaged

_PIECE = 8 * 1024 * 1024


def sha256_of(path: Path, progress: Progress) -> str:
    """The file's SHA-256 in hex; `progress` is called for each piece."""
    checked, size, done = hashlib.sha256(), max(path.stat().st_size, 1), 0
    with open(path, "rb") as stream:
        while piece := stream.read(_PIECE):
            checked.update(piece)
            done += len(piece)
            progress(min(100 * done // size, 100), "computing the disk's checksum")
    return checked.hexdigest()


def copy_file(source: Path, copy: Path, progress: Progress) -> None:
    """After it `copy` holds the same bytes, on disk. Holes stay holes, and a file system that can share blocks does."""
    with open(source, "rb") as reader, open(copy, "xb") as writer:
        size = os.fstat(reader.fileno()).st_size
        os.ftruncate(writer.fileno(), size)
        position = 0
        while (data := _next_data(reader.fileno(), position, size)) is not None:
            position, end = data
            while position < end:
                count = min(end - position, _PIECE)
                position += _copy_piece(reader.fileno(), writer.fileno(), count, position)
                progress(100 * position // size, f"{position >> 20} of {size >> 20} MiB copied")
        os.fsync(writer.fileno())


def write_verified(pieces: Iterable[bytes], path: Path, size: int, sha256: str, progress: Progress) -> None:
    """After it the new file `path` holds the pieces, on disk. Errors: CopyDamaged, when they are not `size` bytes of
    that SHA-256; what was written then is removed."""
    checked, received = hashlib.sha256(), 0
    try:
        with open(path, "xb") as stream:
            for piece in pieces:
                received += len(piece)
                if received > size:
                    raise CopyDamaged(f"more bytes came than the {size} of the disk")
                checked.update(piece)
                stream.write(piece)
                progress(100 * received // max(size, 1), f"{received >> 20} of {size >> 20} MiB received")
            stream.flush()
            os.fsync(stream.fileno())
        if (received, checked.hexdigest()) != (size, sha256):
            raise CopyDamaged(f"{received} bytes came with SHA-256 {checked.hexdigest()}, not {size} with {sha256}")
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _next_data(source: int, position: int, size: int) -> tuple[int, int] | None:
    """Where the next bytes that are no hole begin and end; None when only holes are left."""
    if position >= size:
        return None
    try:
        start = os.lseek(source, position, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise
    return start, os.lseek(source, start, os.SEEK_HOLE)


def _copy_piece(source: int, copy: int, count: int, position: int) -> int:
    """Copies up to `count` bytes, in the kernel where it can; how many."""
    try:
        copied = os.copy_file_range(source, copy, count, position, position)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        copied = os.pwrite(copy, os.pread(source, count, position), position)
    if copied == 0:
        raise CopyDamaged(f"the disk ended at byte {position} while it was copied")
    return copied
