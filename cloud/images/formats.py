"""What an upload is, by its own bytes: looked at while they come, before any other program opens the file.

A qcow2 header can name a backing file or a data file, that is any file of a host. oslo.utils' inspectors read headers
without QEMU's code.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from oslo_utils.imageutils import format_inspector

from cloud.errors import BadRequest
from cloud.images.models import DiskFormat

MAX_VIRTUAL_BYTES = 2**50  # a header can claim anything; no flavor's disk is a PiB
# A raw disk usually starts with a partition table, which the inspectors call "gpt" whether GPT or MBR; a bootable ISO
# has one too.
_MUST_BE = {DiskFormat.QCOW2: "qcow2", DiskFormat.ISO: "iso"}
_MAY_BE = {
    DiskFormat.QCOW2: {"qcow2"},
    DiskFormat.RAW: {"raw", "gpt"},
    DiskFormat.ISO: {"iso", "gpt"},
}
# What the inspectors raise on headers that are cut off or make no sense.
_UNREADABLE = (format_inspector.ImageFormatError, struct.error, LookupError, ValueError, AttributeError, TypeError)


class ImageRefused(BadRequest):
    """The bytes are not what was declared, or not safe to open. Nothing of them is kept; the image stays queued."""

    code = "image.content_refused"


class _Source:
    """A `read` function as the file-like object that the inspectors wrap."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self.read = read


class Inspection:
    """Reads a stream through the inspectors of all formats, then says what it was."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._wrapper = format_inspector.InspectWrapper(_Source(read))  # type: ignore[arg-type]
        self._size = 0

    def read(self, size: int) -> bytes:
        """The next bytes of the stream, at most `size`; none at its end."""
        chunk = self._wrapper.read(size)
        self._size += len(chunk)
        return chunk

    def virtual_size(self, declared: str) -> int:
        """Call it at the end of the stream: the bytes of the disk that a guest will see.

        Raises ImageRefused when the content is not `declared`, or is a qcow2 that refers to another file, has features
        that nobody knows or an impossible size.
        """
        try:
            self._wrapper.close()
            inspectors = {str(inspector): inspector for inspector in self._wrapper.formats or ()}
            self._check_format(DiskFormat(declared), set(inspectors))
            if declared != DiskFormat.QCOW2:
                return self._size
            inspectors["qcow2"].safety_check()
            virtual_size = int(inspectors["qcow2"].virtual_size)
        except format_inspector.SafetyCheckFailed as error:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in sorted(error.failures.items()))
            raise ImageRefused(f"The image is a {declared} that is not safe to open ({reasons}).") from None
        except _UNREADABLE as error:
            raise ImageRefused(f"The image has no readable {declared} header: {error}.") from None
        if not 0 < virtual_size <= MAX_VIRTUAL_BYTES:
            raise ImageRefused(
                f"The image claims a virtual size of {virtual_size} bytes; it must be 1 to {MAX_VIRTUAL_BYTES}."
            )
        return virtual_size

    def _check_format(self, declared: DiskFormat, found: set[str]) -> None:
        if not found or not found <= _MAY_BE[declared] or _MUST_BE.get(declared, "") not in {*found, ""}:
            shown = ", ".join(sorted(found)) or "unknown"
            raise ImageRefused(
                f"The image was declared with disk_format {declared.value!r} and its content is {shown!r}: "
                "declare what it is, or convert it."
            )
