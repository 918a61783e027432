"""What qemu-img says of a disk, also of one that a running guest holds."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from hypervisor.errors import HypervisorFailed

_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class DiskInfo:
    """`backing`: the path of what the disk stands on, and its format; both empty when it stands alone."""

    virtual_size_bytes: int
    backing: str
    backing_format: str


def disk_info(disk: Path, disk_format: str = "qcow2") -> DiskInfo:
    """Errors: HypervisorFailed. The format is named: QEMU must not guess one from what a guest wrote."""
    command = ["qemu-img", "info", "-U", "--output=json", "-f", disk_format, str(disk)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise HypervisorFailed(f"{disk} cannot be read: qemu-img has no answer after {_SECONDS} seconds") from error
    if done.returncode != 0:
        raise HypervisorFailed(f"{disk} cannot be read: {done.stderr.strip()[:300]}")
    told = json.loads(done.stdout)
    return DiskInfo(
        virtual_size_bytes=int(told["virtual-size"]),
        backing=told.get("full-backing-filename") or told.get("backing-filename") or "",
        backing_format=told.get("backing-filename-format", ""),
    )
