"""Whether guests run under KVM or under QEMU's own emulation (TCG)."""

from __future__ import annotations

import os
from pathlib import Path

KVM, QEMU = "kvm", "qemu"


def choose(setting: str, cpuinfo: Path = Path("/proc/cpuinfo"), device: Path = Path("/dev/kvm")) -> str:
    """`setting` when it says "kvm" or "qemu". "auto": KVM only if the CPU has vmx or svm and /dev/kvm opens for
    writing; a device that is there without the CPU's support would fail at the first guest, whatever libvirt lists."""
    if setting in (KVM, QEMU):
        return setting
    if setting != "auto":
        raise ValueError(f"VIRT_TYPE is {setting!r}; it may be auto, kvm or qemu")
    return KVM if _cpu_virtualises(cpuinfo) and _opens(device) else QEMU


def _cpu_virtualises(cpuinfo: Path) -> bool:
    try:
        flags = {flag for line in cpuinfo.read_text().splitlines() if line.startswith("flags") for flag in line.split()}
    except OSError:
        return False
    return bool(flags & {"vmx", "svm"})


def _opens(device: Path) -> bool:
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True
