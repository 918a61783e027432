"""Bytes of images: one file per active image in IMAGES_DIR, and a `.part` file while an upload runs."""

from __future__ import annotations

import hashlib
import logging
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from cloud.errors import Unavailable

log = logging.getLogger(__name__)

CHUNK_BYTES = 64 * 1024


class StoreFailed(Unavailable):
    """The disk under IMAGES_DIR does not take the bytes: full, read-only or gone."""

    code = "image.store_failed"


@dataclass(frozen=True, kw_only=True)
class Received:
    """What was written: bytes and their digests, hex."""

    size: int
    md5: str
    sha512: str


def path_of(image_id: uuid.UUID) -> Path:
    """Where the bytes of an active image are."""
    return Path(settings.IMAGES_DIR) / str(image_id)


def part_of(image_id: uuid.UUID, upload_id: uuid.UUID) -> Path:
    """Where the bytes of an upload go until it is checked."""
    return Path(settings.IMAGES_DIR) / f"{image_id}.{upload_id}.part"


def write(part: Path, read: Callable[[int], bytes], on_chunk: Callable[[int], None]) -> Received:
    """Writes what `read` gives until it gives nothing, hashing on the way; the bytes are on the disk when this returns.

    `on_chunk` is called with the size so far and may raise to stop. Raises StoreFailed when the disk fails; what
    `read` raises goes through. The caller removes the part file.
    """
    md5, sha512, size = hashlib.md5(usedforsecurity=False), hashlib.sha512(), 0
    try:
        part.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        file = part.open("xb")
    except OSError as error:
        raise StoreFailed(f"The image store cannot be written: {error.strerror}.") from error
    with file:
        while chunk := read(CHUNK_BYTES):
            size += len(chunk)
            on_chunk(size)
            md5.update(chunk)
            sha512.update(chunk)
            try:
                file.write(chunk)
            except OSError as error:
                raise StoreFailed(f"The image store cannot be written: {error.strerror}.") from error
        try:
            file.flush()
            os.fsync(file.fileno())
        except OSError as error:
            raise StoreFailed(f"The image store cannot be written: {error.strerror}.") from error
    return Received(size=size, md5=md5.hexdigest(), sha512=sha512.hexdigest())


def publish(part: Path, image_id: uuid.UUID) -> None:
    """Gives a checked part file its final name, durably."""
    os.replace(part, path_of(image_id))
    directory = os.open(part.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def discard(path: Path) -> None:
    """Removes a file if it can: a failing disk must not hide the error that led here. The sweep comes back to it."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s is left in the image store: %s", path.name, error.strerror)


def remove(image_id: uuid.UUID) -> None:
    """Removes the bytes of an image, and every part of its uploads; nothing when there are none."""
    path_of(image_id).unlink(missing_ok=True)
    for part in Path(settings.IMAGES_DIR).glob(f"{image_id}.*.part"):
        part.unlink(missing_ok=True)
