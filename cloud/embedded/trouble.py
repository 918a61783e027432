"""What went wrong, said to a person: the message, what to do, and the end of the log that tells more."""

from __future__ import annotations

from collections import deque
from pathlib import Path

TAIL_LINES = 20


class Trouble(Exception):
    """A command cannot go on. `message` says what was wrong and what to do; `log` is the file that tells more."""

    def __init__(self, message: str, *, log: Path | None = None, details: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.log = log
        self.details = details

    def report(self) -> str:
        """The message, the details, and the tail of the log."""
        lines = [f"✗ {self.message}"]
        if self.details:
            lines += [f"    {line}" for line in self.details.rstrip().splitlines()[-TAIL_LINES:]]
        if self.log is not None:
            last = tail(self.log, TAIL_LINES)
            lines.append(f"  The end of {self.log}:" if last else f"  {self.log} says nothing.")
            lines += [f"    {line}" for line in last]
        return "\n".join(lines)


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a file; none when it is not there."""
    try:
        with path.open(errors="replace") as text:
            return [line.rstrip("\n") for line in deque(text, maxlen=lines)]
    except OSError:
        return []
