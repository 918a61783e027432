"""What hosts tell one another of a disk that moves, through the outputs of their steps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DiskOrigin:
    """What a system disk is and what it stands on. `base` is a path on its host; "": it stands on nothing."""

    virtual_size_bytes: int
    base: str = ""
    base_format: str = ""
    base_size_bytes: int = 0  # of the file
    base_virtual_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class AsideDisk:
    """A disk that an action set aside. `path` is on its host; `sha256` of its bytes in hex, "" when nobody asked."""

    action_id: str
    path: str
    size_bytes: int
    sha256: str = ""
