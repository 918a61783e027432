"""Locks between the threads and the processes of a host: `flock` on a file that may be unlinked by its holder.

A killed process lets go of its locks by itself.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SHARED, EXCLUSIVE = fcntl.LOCK_SH, fcntl.LOCK_EX
_POLL_SECONDS = 0.1


@contextmanager
def held(path: Path, mode: int, while_waiting: Callable[[], object]) -> Iterator[None]:
    """Holds the lock; calls `while_waiting` ten times a second until it is free, and ends with what that raises."""
    pause = threading.Event()
    while True:
        with tried(path, mode) as got:
            if got:
                yield
                return
        while_waiting()
        pause.wait(_POLL_SECONDS)


@contextmanager
def tried(path: Path, mode: int) -> Iterator[bool]:
    """Says whether the lock could be had at once, and holds it if so."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield _lock(handle, mode) and _is_named(handle, path)
    finally:
        os.close(handle)


def _lock(handle: int, mode: int) -> bool:
    try:
        fcntl.flock(handle, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_named(handle: int, path: Path) -> bool:
    """The file is still the one at `path`: a lock on one that was unlinked meanwhile protects nothing."""
    try:
        return os.fstat(handle).st_ino == os.stat(path).st_ino
    except FileNotFoundError:
        return False
