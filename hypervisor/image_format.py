"""Looks into an image's header before QEMU may: an image is only its own bytes, in the format that was declared.

A qcow2 header can name a backing file or a data file, that is any file of the host. oslo.utils' inspectors read the
headers without QEMU's code.
"""

from __future__ import annotations

from pathlib import Path

from oslo_utils.imageutils import format_inspector

from hypervisor.errors import ImageRefused

# A raw disk usually starts with a partition table, which the inspectors call "gpt" whether GPT or MBR.
_FOUND_IN = {"qcow2": {"qcow2"}, "raw": {"raw", "gpt"}}


def inspect(path: Path, declared_format: str, image_id: str) -> int:
    """The virtual size, in bytes, of the image file at `path`.

    Errors: ImageRefused, when its content is in another format than declared, when it names a backing file, a data
    file or a feature that nobody knows, or when its header cannot be read.
    """
    if declared_format not in _FOUND_IN:
        raise ImageRefused(f"image {image_id}: disk format {declared_format!r} is none that a host boots (qcow2, raw)")
    try:
        inspector = format_inspector.detect_file_format(str(path))
        found = str(inspector) if inspector else "unknown"
        if inspector is None or found not in _FOUND_IN[declared_format]:
            raise ImageRefused(f"image {image_id}: declared {declared_format}, its content is {found}")
        if declared_format == "raw":
            return path.stat().st_size
        inspector.safety_check()
        return int(inspector.virtual_size)
    except format_inspector.SafetyCheckFailed as error:
        reasons = ", ".join(sorted(error.failures))
        raise ImageRefused(f"image {image_id}: a {declared_format} that is not safe to open: {reasons}") from error
    except (format_inspector.ImageFormatError, AttributeError, ValueError) as error:
        raise ImageRefused(f"image {image_id}: no readable {declared_format} header: {error}") from error
