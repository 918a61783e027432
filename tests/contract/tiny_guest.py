"""One tiny guest on real libvirt, booted once for a module: what it writes to its console is what tests look at."""

from __future__ import annotations

import base64
import dataclasses
import fcntl
import hashlib
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cloud.embedded import guest_image
from hypervisor.spec import GuestSpec
from tests.contract import specs
from tests.contract.hosts import LibvirtHost
from tests.contract.image_server import ImageServer

BOOT_SECONDS = 300.0
_TICK = re.compile(r"^tiny: tick ([0-9.]+)", re.MULTILINE)
_BOOTS = re.compile(r"boots=([0-9]+)")
_NMI = re.compile(r"^tiny: nmi ([0-9]+)", re.MULTILINE)
# Tells each NMI that the kernel counted: what the guest does with it is its own affair, that it got it is not.
_WATCH_NMI = b"""#!/bin/sh
(old=0; while sleep 1; do
    new=$(awk '/NMI:/{print $2}' /proc/interrupts)
    [ "$new" = "$old" ] || { echo "tiny: nmi $new" >/dev/console; old=$new; }
done) &
"""


def image_file() -> Path:
    """The tiny image, built once for all test runs of this machine."""
    directory = Path(tempfile.gettempdir()) / f"kilonova-tiny-guest-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return guest_image.ensure(directory)


@dataclasses.dataclass
class TinyGuest:
    """The guest, its host, and what its console says: one text over all its runs."""

    host: LibvirtHost
    spec: GuestSpec

    @property
    def id(self) -> str:
        return self.spec.instance_id

    def console(self) -> str:
        return self.host.driver.console.output(self.id, None).replace("\r", "")

    def uptime(self) -> float:
        """The guest's latest heartbeat, in its own seconds since its boot; 0 before any."""
        ticks = _TICK.findall(self.console())
        return float(ticks[-1]) if ticks else 0.0

    def boots(self) -> int:
        """What the boot counter on its disk said last; 0 before the first boot."""
        return int((_BOOTS.findall(self.console()) or ["0"])[-1])

    def interrupts(self) -> int:
        """How many NMIs its kernel counted."""
        return int((_NMI.findall(self.console()) or ["0"])[-1])

    def wait_for_boot(self, boots: int) -> None:
        """Waits for the end of the boot that the counter on its disk gives this number, and its first heartbeats."""

        def is_over() -> bool:
            _, found, rest = self.console().rpartition(f"boots={boots} ")
            return bool(found) and "BOOT-OK" in rest and len(_TICK.findall(rest)) > 2

        wait_for(f"boot number {boots}", is_over, self.console)

    def wait_for_ticks(self, after: float) -> float:
        """Waits for a heartbeat later than `after`; gives it."""
        wait_for(f"a heartbeat after {after}", lambda: self.uptime() > after, self.console)
        return self.uptime()

    def domain(self) -> Any:
        return self.host.domain(self.id)


def wait_for(what: str, is_there: Any, told: Any, seconds: float = BOOT_SECONDS) -> None:
    """Waits until `is_there()`; what `told()` says is in the failure."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not is_there():
        assert time.monotonic() < deadline, f"{what} did not come in {seconds} s; the console: {told()[-2000:]}"
        pause.wait(0.1)


@contextmanager
def running(host: LibvirtHost, user_data: bytes = _WATCH_NMI, *, is_booted: bool = True) -> Iterator[TinyGuest]:
    """A tiny guest without a network on `host`, booted."""
    file = image_file()
    content = file.read_bytes()
    server = ImageServer()
    server.content = content
    with server.running():
        image = specs.image(
            content,
            url=server.url,
            disk_format="qcow2",
            virtual_size_bytes=32 * specs.MIB,
            sha512=hashlib.sha512(content).hexdigest(),
        )
        spec = specs.guest(image=image, memory_mib=96)
        assert spec.config_drive is not None
        watch = base64.b64encode(user_data).decode()
        # Other runs of these tests on this machine remove what is called "contract-…".
        spec = dataclasses.replace(spec, name=f"power-{spec.instance_id[:8]}")
        spec = dataclasses.replace(spec, config_drive=dataclasses.replace(spec.config_drive, user_data_b64=watch))
        base = host.driver.images.fetch(image, specs.Listener())
    host.driver.disks.create(spec, base, specs.maker(), specs.Listener())
    host.driver.lifecycle.start(spec, specs.maker(), specs.Listener())
    guest = TinyGuest(host, spec)
    try:
        if is_booted:
            guest.wait_for_boot(1)
        yield guest
    finally:
        host.driver.lifecycle.remove(spec.instance_id, None)
