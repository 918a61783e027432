"""Processes of this cloud that nobody supervises, because their supervisor was killed.

Found by the mark in their environment; Redis writes its title over it, and is known by its working directory.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from cloud.embedded.settings import Settings
from cloud.embedded.supervisor import MARK


def find(settings: Settings) -> dict[int, str]:
    """Process ids with their program's name. Not guests and dnsmasq: libvirt cleans their environment."""
    prefix = f"{MARK}={settings.state_dir}:".encode()
    redis_dir = str(settings.state_dir / "redis")
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                variables = (entry / "environ").read_bytes().split(b"\0")
                if os.readlink(entry / "cwd") == redis_dir:
                    found[int(entry.name)] = "redis"
            except OSError:
                continue  # it ended, or it is not ours to read
            for variable in variables:
                if variable.startswith(prefix):
                    found[int(entry.name)] = variable[len(prefix) :].decode()
    return found


def end(settings: Settings, *, patience: float = 20.0) -> dict[int, str]:
    """Ends them: SIGTERM, and SIGKILL for who is still there after `patience` seconds. Says whom it ended."""
    ended = find(settings)
    _signal(list(ended), signal.SIGTERM)
    deadline = time.monotonic() + patience
    while (left := find(settings)) and time.monotonic() < deadline:
        time.sleep(0.2)
    _signal(list(left), signal.SIGKILL)
    return ended


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
