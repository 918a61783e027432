"""Small disk images, made byte by byte: good ones and hostile ones."""

from __future__ import annotations

import struct

MIB = 1024 * 1024


def qcow2(
    virtual_size: int = 10 * MIB,
    *,
    version: int = 3,
    backing_offset: int = 0,
    incompatible: int = 0,
    length: int = 256 * 1024,
) -> bytes:
    """A qcow2 header as QEMU's specification lays it out, and zeroes."""
    header = struct.pack(
        ">4sIQIIQIIQQIIQ",
        b"QFI\xfb",
        version,
        backing_offset,
        12 if backing_offset else 0,
        16,  # cluster bits
        virtual_size,
        0,  # encryption
        1,  # L1 entries
        3 * 65536,
        65536,
        1,
        0,  # snapshots
        0,
    )
    header += struct.pack(">QQQII", incompatible, 0, 0, 4, 104)
    if backing_offset:
        header = header.ljust(backing_offset, b"\0") + b"/etc/passwd\0"
    return header.ljust(length, b"\0")


def with_backing_file() -> bytes:
    return qcow2(backing_offset=512)


def with_data_file() -> bytes:
    return qcow2(incompatible=1 << 2)


def raw(length: int = 100_000) -> bytes:
    """A disk with a partition table, as a boot loader sees it."""
    table = b"\0" * 446 + bytes([0x80, 0, 1, 0, 0x83, 0, 1, 0]) + struct.pack("<II", 1, 100) + b"\0" * 48 + b"\x55\xaa"
    return table.ljust(length, b"\x01")


def vmdk() -> bytes:
    """Another program's format, under the name of none."""
    return (b"KDMV" + struct.pack("<III", 1, 3, 0) + struct.pack("<QQQQ", 8, 8, 1, 1)).ljust(100_000, b"\0")


def iso() -> bytes:
    return (b"\0" * 32768 + b"\x01CD001\x01" + b"\0" * 2041 + b"\xffCD001\x01" + b"\0" * 2041).ljust(65536, b"\0")
