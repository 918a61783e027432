"""The host's journal: the highest turn seen of each target, and what each step ended with (rule R3).

`<journal>/<target>/` outlives the instance and holds `turn` (the fence), `lock` (the target's lock, held by whoever
acts; its text names the token at work) and `log` (one JSON line per fact). Two worker processes of a host share it by
`flock`; every fact is on the disk (fsync) before what follows from it happens.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypervisor.standing import Standing

log = logging.getLogger(__name__)

_POLL = 0.05
_COMPACT_BYTES = 64 * 1024


class Behind(Exception):
    """The order's turn is lower than one that this host has seen for the target."""

    def __init__(self, highest: int) -> None:
        super().__init__(f"a higher turn was seen: {highest}")
        self.highest = highest


class Running(Exception):
    """The very same order is being carried out right now: this is a duplicate, to be dropped."""


@dataclass(frozen=True)
class Entry:
    """What the journal knows of one token: its stored result, or None when it was begun and never finished."""

    result: dict[str, Any] | None


class TargetJournal:
    """The journal of one target, for one order."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def highest(self) -> int:
        """The highest turn seen; 0 before any."""
        try:
            return int((self.directory / "turn").read_bytes() or b"0")
        except FileNotFoundError:
            return 0

    def raise_turn(self, turn: int) -> int:
        """Raises the highest turn to `turn` if it is lower, on the disk before it returns. Gives the highest."""
        self._make()
        fd = os.open(self.directory / "turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            seen = int(os.pread(fd, 20, 0) or b"0")
            if turn > seen:
                os.pwrite(fd, b"%020d" % turn, 0)
                os.fsync(fd)
                return turn
            return seen
        finally:
            os.close(fd)

    @contextmanager
    def locked(self, turn: int, token: str) -> Iterator[int]:
        """Holds the target's lock; gives its descriptor, which child processes inherit.

        Only the highest turn may wait for it. Raises Behind when a higher one was seen, Running for a duplicate of
        what runs.
        """
        fd = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not _try_lock(fd):
                self.check(turn)
                if os.pread(fd, 64, 0) == token.encode():
                    raise Running(token)
                time.sleep(_POLL)
            self.check(turn)
            os.ftruncate(fd, 0)
            os.pwrite(fd, token.encode(), 0)
            yield fd
        finally:
            os.close(fd)

    def check(self, turn: int) -> None:
        """Raises Behind when a turn above `turn` was seen."""
        highest = self.highest()
        if highest > turn:
            raise Behind(highest)

    def find(self, token: str) -> Entry | None:
        """What is known of `token`: None when it was never begun here."""
        entry = None
        for line in self._lines():
            if line.get("token") == token:
                entry = Entry(line.get("result") or (entry.result if entry else None))
        return entry

    def has_open_entry(self) -> bool:
        """Whether some order was begun and never finished: its worker was killed."""
        return bool(self.open_entries())

    def open_entries(self) -> list[dict[str, Any]]:
        """The orders that were begun and neither finished nor settled, as they were written down (see `begin`)."""
        entries: dict[str, dict[str, Any]] = {}
        for line in self._lines():
            token = line.get("token", "")
            if "result" in line or "settled" in line:
                entries.pop(token, None)
            else:
                entries[token] = line
        return list(entries.values())

    def story(self, limit: int = 20) -> list[dict[str, Any]]:
        """What was begun here last, oldest first: {action, name, verb, seq, turn, begun, status}; the status is that of
        its result, `settled` for what was ended by another's hand, or `begun`."""
        entries: dict[str, dict[str, Any]] = {}
        for line in self._lines():
            entry = entries.setdefault(line.get("token", ""), {"status": "begun"})
            if "result" in line:
                entry["status"] = line["result"].get("status", "done")
            elif "settled" in line:
                entry["status"] = "settled"
            else:
                entry.update({name: value for name, value in line.items() if name != "token"})
        return [entry for entry in entries.values() if "begun" in entry][-limit:]

    def was_interrupted(self, action_id: str, seq: int) -> bool:
        """Whether step `seq` of that action was begun here, in whichever turn, and never finished."""
        lines = self._lines()
        finished = {line["token"] for line in lines if "result" in line}
        begun = (line for line in lines if line.get("verb") == "do" and line.get("action") == action_id)
        return any(line.get("seq") == seq and line["token"] not in finished for line in begun)

    def done_before(self, action_id: str, seq: int) -> dict[str, Any] | None:
        """The result of step `seq` of that action if it was done here, in whichever turn; None when it was not."""
        lines = self._lines()
        mine = {
            line["token"]
            for line in lines
            if line.get("verb") == "do" and (line.get("action"), line.get("seq")) == (action_id, seq)
        }
        results = (line["result"] for line in lines if "result" in line and line["token"] in mine)
        return next((result for result in results if result["status"] == "done"), None)

    def begin(self, token: str, order: dict[str, Any]) -> None:
        """Writes that the order is begun, before its first effect."""
        self._append({"token": token, "begun": time.time(), **order})

    def settled(self) -> None:
        """Writes that what interrupted orders may have left running is ended."""
        lines = self._lines()
        done = {line["token"] for line in lines if "result" in line or "settled" in line}
        for token in {line["token"] for line in lines if "begun" in line} - done:
            self._append({"token": token, "settled": time.time()})

    def finish(self, token: str, result: dict[str, Any]) -> None:
        """Writes the result, before it is reported."""
        self._append({"token": token, "result": result})

    def compact(self) -> None:
        """Forgets results once the log is long: a new turn never asks for those of an older one. Under the lock."""
        path = self.directory / "log"
        if path.exists() and path.stat().st_size > _COMPACT_BYTES and not self.has_open_entry():
            path.unlink()
            _fsync_directory(self.directory)

    def _make(self) -> None:
        if not self.directory.is_dir():
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            _fsync_directory(self.directory.parent)

    def _append(self, line: dict[str, Any]) -> None:
        path = self.directory / "log"
        is_new = not path.exists()
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # A line torn by a power cut must not swallow this one, so each begins on a line of its own.
            os.write(fd, b"\n" + json.dumps(line, separators=(",", ":")).encode() + b"\n")
            os.fsync(fd)
        finally:
            os.close(fd)
        if is_new:
            _fsync_directory(self.directory)

    def _lines(self) -> list[dict[str, Any]]:
        try:
            raw = (self.directory / "log").read_bytes()
        except FileNotFoundError:
            return []
        lines = []
        for text in raw.split(b"\n"):
            if text:
                try:
                    lines.append(json.loads(text))
                except ValueError:
                    log.warning("a torn line in %s is passed over", self.directory)
        return lines


class Journal:
    """The journals of all targets of one host, and where the host stands (rule R6)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.standing = Standing(directory)

    def of(self, target_id: str) -> TargetJournal:
        """The journal of a target. The id must be one path component."""
        if "/" in target_id or target_id in ("", ".", ".."):
            raise ValueError(f"not a target id: {target_id!r}")
        return TargetJournal(self.directory / target_id)

    def open_entries(self, most: int = 5000) -> list[tuple[str, dict[str, Any]]]:
        """(target, entry) of each order that was begun and never finished: it is at work, in this process or another,
        or its worker was killed. Of the `most` targets that were touched last."""
        logs = sorted(self.directory.glob("*/log"), key=_modified, reverse=True)[:most]
        return [(path.parent.name, entry) for path in logs for entry in TargetJournal(path.parent).open_entries()]

    def interrupted(self, limit: int = 500) -> list[dict[str, Any]]:
        """{action, seq, verb, turn} of each order of any target that was begun and never finished; the newest `limit`.

        What is still at work in another process counts too: of that there is no result yet either.
        """
        found = [entry for _, entry in self.open_entries() if "action" in entry]
        newest = sorted(found, key=lambda entry: entry["begun"])[-limit:]
        return [{name: entry[name] for name in ("action", "seq", "verb", "turn")} for entry in newest]

    def prune(self, older_than_days: int, keep: set[str]) -> int:
        """Removes the journals of targets outside `keep` that were not touched for so long; says how many."""
        removed = 0
        limit = time.time() - older_than_days * 86400
        for path in self.directory.iterdir():
            if path.is_dir() and path.name not in keep and _last_touched(path) < limit:
                shutil.rmtree(path, ignore_errors=True)
                removed += 1
        return removed


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _last_touched(directory: Path) -> float:
    """When one of its files was last written: the directory's own time stays at the day it was made."""
    return max(path.stat().st_mtime for path in (directory, *directory.iterdir()))


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _fsync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
