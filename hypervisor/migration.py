"""What a live migration is told and tells: plain data, the same for every driver; and how it is steered on its way.

The step that migrates looks for a wish (abort, force complete) several times a second; who steers is another process of
the host, on its control queue.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cloud.errors import Abort
from hypervisor import side_files

STEER_SECONDS = 15.0
_POLL_SECONDS = 0.1


class MigrationRefused(Abort):
    """The destination cannot take the guest: its CPU, its hypervisor or its storage does not fit."""

    code = "migration.refused"


class MigrationFailed(Abort):
    """The hypervisor gave the migration up; the guest goes on at the source."""

    code = "migration.failed"


class MigrationAborted(Abort):
    """The migration was ended on request; the guest goes on at the source."""

    code = "migration.aborted"


class MigrationTimedOut(Abort):
    """The migration took longer than it may and was ended; the guest goes on at the source."""

    code = "migration.timed_out"


class Wish(StrEnum):
    """What a migration on its way can be asked for."""

    ABORT = "abort"
    FORCE_COMPLETE = "force_complete"


class CopyPlan(StrEnum):
    """How the guest's disk comes to the destination."""

    NONE = "none"  # both hosts see the same storage
    INCREMENTAL = "incremental"  # what the guest wrote; the base image is at the destination
    FULL = "full"


@dataclass(frozen=True, kw_only=True)
class MigrationSource:
    """The guest as its source sees it, which the destination is checked against. `cpu`: what libvirt says of the
    guest's CPU, as XML; "" when it is emulated. `backing`: the file that its disk stands on; "" for none."""

    storage_id: str
    hypervisor_type: str
    hypervisor_version: int
    architecture: str
    cpu: str
    disk_bytes: int
    backing: str


@dataclass(frozen=True, kw_only=True)
class MigrationOrder:
    """How a guest is to go. `bandwidth_mib`: MiB/s, 0 for no limit. `downtime_ms`: how long it may stand still at the
    switch. `timeout_seconds`: after it comes what `on_timeout` says; 0 for never."""

    destination: str
    destination_ip: str = ""
    copy: str = CopyPlan.NONE
    is_paused: bool = False  # it is paused, and stays so
    bandwidth_mib: int = 0
    downtime_ms: int = 500
    may_auto_converge: bool = False
    may_post_copy: bool = False
    timeout_seconds: float = 0.0
    on_timeout: str = Wish.ABORT


@dataclass(frozen=True)
class Wishes:
    """What was asked of the migrations of one host: `<root>/<action id>.json`, there until it was taken up."""

    root: Path

    def of(self, action_id: str) -> Wish | None:
        """What is asked of that action's migration now."""
        said = side_files.read(self._path(action_id))
        return Wish(said["wish"]) if said else None

    def taken(self, action_id: str) -> None:
        """The wish was taken up, or nobody can any more."""
        self._path(action_id).unlink(missing_ok=True)

    def ask(self, action_id: str, wish: Wish, seconds: float = STEER_SECONDS) -> bool:
        """Asks, and waits at most `seconds` until it was taken up; says whether it was. After it nothing is asked."""
        self.root.mkdir(parents=True, exist_ok=True)
        side_files.write(self._path(action_id), {"wish": wish}, durable=False)
        deadline, pause = time.monotonic() + seconds, threading.Event()
        while self._path(action_id).exists():
            if time.monotonic() >= deadline:
                self.taken(action_id)
                return False
            pause.wait(_POLL_SECONDS)
        return True

    def _path(self, action_id: str) -> Path:
        return self.root / f"{action_id}.json"
