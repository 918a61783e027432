"""Lines on the console: each step one line with a check mark and its seconds; a long one shows that it lives.

On a terminal the line moves while the step runs; elsewhere (CI, a pipe) a long step prints a line every 15 seconds.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
QUIET_INTERVAL = 15.0


class Step:
    """A step that runs: `note` says what it is waiting for, `says` prints a line under it."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self.title = title
        self.begun = time.monotonic()
        self._note = ""

    @property
    def seconds(self) -> float:
        """Since the step began."""
        return time.monotonic() - self.begun

    def note(self, text: str) -> None:
        """What it does right now; shown while it runs, and with the step's last line."""
        self._note = text

    def says(self, line: str) -> None:
        """A line of its own, while the step goes on."""
        self._console.line(f"    {line}")

    def text(self) -> str:
        return f"{self.title}: {self._note}" if self._note else self.title


class Console:
    """Where the lines go."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._lock = threading.Lock()
        self._moving = False
        self.is_terminal = self._out.isatty()

    def line(self, text: str = "") -> None:
        """One line of its own."""
        with self._lock:
            self._clear()
            self._write(text + "\n")

    def done(self, title: str, note: str = "") -> None:
        """A step that took no time: what was found as it should be."""
        self.line(f"✓ {title}" + (f": {note}" if note else ""))

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Shows the step while its body runs; its line ends with a check mark, or a cross when the body raises."""
        step = Step(self, title)
        over = threading.Event()
        shower = threading.Thread(target=self._show, args=(step, over), daemon=True)
        shower.start()
        try:
            yield step
        except BaseException:
            over.set()
            shower.join()
            self.line(f"✗ {step.text()}  {step.seconds:.1f} s")
            raise
        over.set()
        shower.join()
        self.line(f"✓ {step.text()}  {step.seconds:.1f} s")

    def _show(self, step: Step, over: threading.Event) -> None:
        shown = 0.0
        frame = 0
        while not over.wait(0.12 if self.is_terminal else 0.5):
            if self.is_terminal:
                frame += 1
                with self._lock:
                    self._clear()
                    self._write(f"{FRAMES[frame % len(FRAMES)]} {step.text()}  {step.seconds:.0f} s")
                    self._moving = True
            elif step.seconds - shown >= QUIET_INTERVAL:
                shown = step.seconds
                self.line(f"  … {step.text()}, {step.seconds:.0f} s so far")

    def _clear(self) -> None:
        if self._moving:
            self._write("\r\033[K")
            self._moving = False

    def _write(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except BrokenPipeError:
            # Who reads has read enough (`| head`); the work goes on. Python's own flush at exit goes nowhere, too.
            if self._out is sys.stdout:
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            else:
                self._out = io.StringIO()
