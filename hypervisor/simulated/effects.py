"""What the driver changed, one line each, in the order in which it happened: for tests that count effects.

Off unless SIMULATED_EFFECTS is 1. `<state dir>/simulated/effects.log` is appended to once a change is made, so that a
killed worker may leave a change without its line, and never a line without its change.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path


class Effects:
    """The log of one host; without a file, none."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file

    @classmethod
    def ordered(cls, file: Path) -> Effects:
        """The log in `file`, if the environment orders one."""
        return cls(file if os.environ.get("SIMULATED_EFFECTS") == "1" else None)

    def happened(self, what: str, instance_id: str) -> None:
        """One change was made to what the host has of an instance."""
        if self._file is None:
            return
        line = {"at": time.time(), "what": what, "instance": instance_id}
        descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, json.dumps(line).encode() + b"\n")
        finally:
            os.close(descriptor)
