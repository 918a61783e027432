"""How long the cloud takes to recover from each blow.

The recovery of a blow is the time from it until every action that was alive at that moment has gone on to a later turn
or has ended. It counts what other blows and a long queue add, so it is an upper bound of what this blow cost.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.database import Database

POLL = 0.25  # seconds
LIVE = "('PENDING', 'RUNNING', 'UNWINDING')"


@dataclass
class Blow:
    """One thing done to the cloud. `waiting`: action → its turn then, of those that have not moved on since."""

    number: int
    kind: str
    victim: str
    at: float
    is_kill: bool
    waiting: dict[str, int]
    recovered_after: float | None = None
    details: str = ""
    last: str = ""  # one of the actions that took the longest to go on


@dataclass
class Watch:
    """Looks at the live actions all the time."""

    database: Database
    blows: list[Blow] = field(default_factory=list)
    live: int = 0
    _open: list[Blow] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts to look."""
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Looks no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def struck(self, kind: str, victim: str, *, is_kill: bool, details: str = "") -> Blow:
        """Notes a blow that was dealt just now."""
        at = time.time()
        waiting = self._turns()
        with self._guard:
            blow = Blow(len(self.blows) + 1, kind, victim, at, is_kill, waiting, details=details)
            self.blows.append(blow)
            self._open.append(blow)
        return blow

    def look(self) -> None:
        """Which of the blows are recovered from by now."""
        now, turns = time.time(), self._turns()
        self.live = len(turns)
        with self._guard:
            for blow in self._open:
                blow.last = next(iter(blow.waiting), blow.last)
                blow.waiting = {a: turn for a, turn in blow.waiting.items() if turns.get(a) == turn}
                if not blow.waiting:
                    blow.recovered_after = now - blow.at
            self._open = [blow for blow in self._open if blow.recovered_after is None]

    def _turns(self) -> dict[str, int]:
        rows: list[dict[str, Any]] = self.database.rows(f"SELECT id, turn FROM workflow_action WHERE state IN {LIVE}")
        return {row["id"]: row["turn"] for row in rows}

    def _run(self) -> None:
        while not self._stop.wait(POLL):
            self.look()
