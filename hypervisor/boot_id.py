"""Which boot of this machine it is: how the cloud tells a host that was rebooted from a worker that was restarted."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

_PROC = Path("/proc")
_START_TIME = 19  # of the fields of /proc/<pid>/stat after the name: proc(5) counts it as 22


@functools.cache
def this_boot() -> str:
    """The kernel's boot id and the start of the first process, digested.

    In a PID namespace (a container, a host of the rig) the first process is the namespace's: its end is the end of all
    that ran there, so a new one counts as a boot. Source: proc(5).
    """
    return read_boot(_PROC)


def read_boot(proc: Path) -> str:
    """The same of a given /proc."""
    boot = (proc / "sys" / "kernel" / "random" / "boot_id").read_text().strip()
    first = (proc / "1" / "stat").read_text()
    started = first.rpartition(")")[2].split()[_START_TIME]
    return hashlib.sha256(f"{boot} {started}".encode()).hexdigest()[:32]
