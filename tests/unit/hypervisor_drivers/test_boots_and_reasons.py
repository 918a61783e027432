"""Which boot of the machine it is, and what libvirt's states and reasons are called."""

from __future__ import annotations

from pathlib import Path

import libvirt
import pytest

from hypervisor.boot_id import read_boot, this_boot
from hypervisor.libvirt.observed import observed


def proc(root: Path, boot: str = "b1", started: int = 100, name: str = "init") -> Path:
    """A /proc with that boot id and first process."""
    (root / "sys" / "kernel" / "random").mkdir(parents=True, exist_ok=True)
    (root / "1").mkdir(exist_ok=True)
    (root / "sys" / "kernel" / "random" / "boot_id").write_text(f"{boot}\n")
    before = " ".join(["S", *["0"] * 18])  # fields 3 to 21
    (root / "1" / "stat").write_text(f"1 ({name}) {before} {started} 9 9 9\n")
    return root


def test_a_boot_is_the_same_until_the_machine_or_its_first_process_starts_anew(tmp_path: Path) -> None:
    first = read_boot(proc(tmp_path))
    assert read_boot(proc(tmp_path, name="a) b (c")) == first
    assert read_boot(proc(tmp_path, boot="b2")) != first
    assert read_boot(proc(tmp_path, started=101)) != first


def test_this_machine_has_a_boot() -> None:
    assert len(this_boot()) == 32
    assert read_boot(Path("/proc")) == this_boot()


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [
        (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_BOOTED, (1, "")),
        (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER, (3, "user")),
        (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR, (3, "io_error")),
        (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION, (3, "")),
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN, (4, "shutdown")),
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED, (4, "destroyed")),
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_SAVED, (4, "saved")),
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_UNKNOWN, (4, "lost")),
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_DAEMON, (4, "lost")),
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED, (6, "crashed")),
        (libvirt.VIR_DOMAIN_CRASHED, libvirt.VIR_DOMAIN_CRASHED_PANICKED, (6, "crashed")),
        (99, 99, (0, "")),
    ],
)
def test_libvirts_states_have_names_here(state: int, reason: int, expected: tuple[int, str]) -> None:
    assert observed(state, reason) == expected
