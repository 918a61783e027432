"""libvirtd and virtlogd of this machine: used when they run, run by us when they do not.

Several clouds and test runs share one machine, and libvirtd's default socket is one. So each of them that finds no
daemon of the system's keeps a *stand-in*: `flock` waits for the machine's lock and becomes the daemon when it gets it.
One runs, the others wait, and when the one goes with its cloud the next takes over. Guests survive: they are processes
of their own.
"""

from __future__ import annotations

import fcntl
import grp
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cloud.embedded.trouble import Trouble

RUN_DIR = Path("/run/libvirt")
UDEV = Path("/run/udev/control")


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """One of libvirt's daemons: where it listens, and the lock that says who of us runs it."""

    name: str
    socket: Path
    lock: Path

    @property
    def command(self) -> list[str]:
        """Waits for the lock, then becomes the daemon, in the foreground; the lock lives as long as it does."""
        return ["/usr/bin/flock", "--no-fork", str(self.lock), f"/usr/sbin/{self.name}"]


VIRTLOGD = Daemon(name="virtlogd", socket=RUN_DIR / "virtlogd-sock", lock=Path("/run/kilonova-virtlogd.lock"))
LIBVIRTD = Daemon(name="libvirtd", socket=RUN_DIR / "libvirt-sock", lock=Path("/run/kilonova-libvirtd.lock"))
DAEMONS = (VIRTLOGD, LIBVIRTD)


def answers(daemon: Daemon) -> bool:
    """Whether somebody accepts connections at the daemon's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(3)
        try:
            probe.connect(str(daemon.socket))
        except OSError:
            return False
    return True


def is_run_by_us(daemon: Daemon) -> bool:
    """Whether a cloud or a test run of ours holds the daemon's lock."""
    descriptor = os.open(daemon.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def is_ours_to_run(daemon: Daemon) -> bool:
    """Whether a stand-in is needed: none runs, or the one that runs is another stand-in and may go."""
    return is_run_by_us(daemon) or not answers(daemon)


def wait(uri: str = "qemu:///system", *, timeout: float = 60.0) -> None:
    """Returns when libvirtd serves the hypervisor at `uri`; raises after `timeout` seconds with what it last said."""
    deadline = time.monotonic() + timeout
    while True:
        asked = subprocess.run(["virsh", "-q", "-c", uri, "version"], capture_output=True, text=True, check=False)
        if asked.returncode == 0:
            return
        if time.monotonic() > deadline:
            raise Trouble(f"libvirt does not answer at {uri}", details=asked.stderr)
        time.sleep(0.2)


def let_qemu_see_kvm(device: Path = Path("/dev/kvm")) -> None:
    """Where no udev runs, gives /dev/kvm the group and mode that udev gives it elsewhere (kvm, 0660).

    Without it libvirt, which probes QEMU as QEMU's own user, finds KVM at one look and not at the next, and probes anew
    at every call, for minutes.
    """
    if device.exists() and not UDEV.exists() and device.stat().st_mode & 0o006 != 0o006:
        try:
            os.chown(device, -1, grp.getgrnam("kvm").gr_gid)
        except KeyError:  # no such group: no package that would use it
            return
        device.chmod(0o660)


@contextmanager
def running(log_dir: Path) -> Iterator[list[str]]:
    """libvirtd and virtlogd for the time of the body: those that run, or ours, stopped at the end. Gives our names."""
    ours: list[tuple[Daemon, subprocess.Popen[bytes]]] = []
    let_qemu_see_kvm()
    try:
        for daemon in DAEMONS:
            if is_ours_to_run(daemon):
                with (log_dir / f"{daemon.name}.log").open("ab") as log:
                    process = subprocess.Popen(daemon.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
                ours.append((daemon, process))
        wait()
        yield [daemon.name for daemon, _ in ours]
    finally:
        for _, process in reversed(ours):
            process.terminate()
        for _, process in reversed(ours):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
