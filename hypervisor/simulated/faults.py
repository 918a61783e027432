"""Faults on order: the next calls of a facet fail, or take long.

`<state dir>/simulated/faults.json` (for other processes) or a `Faults` given to the driver (for tests in this one) maps
a call's name ("disks.create") to `{"error": "NoSpace", "message": "…", "count": 1, "when": "before", "delay": 0.5}`.
`error` is a class of `hypervisor.errors`; without one the call only waits. `count` calls are met (absent: all);
`when` is "before" the effect or "after" it; `delay` is in seconds and comes first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypervisor import errors, file_locks, side_files
from hypervisor.driver import Progress

_TICK_SECONDS = 0.05

Fault = dict[str, Any]


class Faults:
    """The faults of one host: those `planned` here, and those in its file."""

    def __init__(self, planned: dict[str, Fault] | None = None) -> None:
        self._planned = dict(planned or {})
        self._lock = threading.Lock()
        self._file: Path | None = None

    def watch(self, file: Path) -> None:
        """Takes faults from `file` too, which may come and go."""
        self._file = file

    def plan(self, call: str, **fault: Any) -> None:
        """Plans a fault for `call`, in place of one that was planned before."""
        with self._lock:
            self._planned[call] = fault

    @contextmanager
    def around(self, call: str, progress: Progress | None = None) -> Iterator[None]:
        """Runs a call with the fault that is due for it, if any."""
        fault = self._next(call)
        if fault is None:
            yield
            return
        _wait(float(fault.get("delay", 0)), progress)
        if fault.get("error") and fault.get("when", "before") == "before":
            raise _error(call, fault)
        yield
        if fault.get("error") and fault.get("when") == "after":
            raise _error(call, fault)

    def _next(self, call: str) -> Fault | None:
        if self._planned:
            with self._lock:
                if (due := _take(self._planned, call)) is not None:
                    return due
        if self._file is None or not self._file.exists():
            return None
        with file_locks.held(self._file.with_suffix(".lock"), file_locks.EXCLUSIVE, lambda: None):
            planned = side_files.read(self._file) or {}
            due = _take(planned, call)
            if due is not None and "count" in due:
                side_files.write(self._file, planned, durable=False)
            return due


def _take(planned: dict[str, Fault], call: str) -> Fault | None:
    """The fault due for `call`; counts it down."""
    fault = planned.get(call)
    if fault is None:
        return None
    if "count" in fault:
        left = int(fault["count"])
        if left <= 0:
            return None
        planned[call] = {**fault, "count": left - 1}
    return fault


def _error(call: str, fault: Fault) -> Exception:
    kind: Callable[[str], Exception] | None = getattr(errors, str(fault["error"]), None)
    if kind is None:
        raise ValueError(f"fault for {call}: {fault['error']!r} is no error of hypervisor.errors")
    return kind(str(fault.get("message") or f"{call} fails as ordered"))


def _wait(seconds: float, progress: Progress | None) -> None:
    end, pause = time.monotonic() + seconds, threading.Event()
    while (left := end - time.monotonic()) > 0:
        if progress is not None:
            progress(None, "waiting as ordered")
        pause.wait(min(left, _TICK_SECONDS))
