"""What a domain's XML depends on beside its spec: the host and the places of the instance's files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class HostTraits:
    """One host. `disk_cache`: "none" where the file system can do direct I/O, else "writeback"."""

    virt_type: str  # "kvm" | "qemu"
    disk_cache: str
    has_anti_spoofing: bool  # libvirt's filter clean-traffic is there


@dataclass(frozen=True, kw_only=True)
class GuestPaths:
    """The instance's files. `config_drive` is None for a guest without one, `rescue_disk` for one not rescued."""

    disk: Path
    config_drive: Path | None
    console_log: Path
    rescue_disk: Path | None = None
