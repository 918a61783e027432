"""Who breaks the cloud: kills processes, pauses them, takes messages and turns back the clocks of leases.

The order of the blows, their victims and the pauses between them come from the seed; at which moment of the work they
fall is the machine's. A kill is SIGKILL; the supervisor starts the program again, as it would an operator's.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import redis

from cloud.embedded.trouble import Trouble
from tests.chaos.cloud import ChaosCloud
from tests.chaos.database import Database
from tests.chaos.thief import Thief
from tests.chaos.watch import Watch

# Of all kills, per mille: at least 600 of compute workers, and some of every kind. An API that is away is asked nothing
# meanwhile, so of it there are few.
KILLS = {
    "compute": 640,
    "compute-ctl": 220,
    "conductor": 40,
    "conductor-child": 40,
    "scheduler": 15,
    "beat": 10,
    "api": 10,
    "redis": 25,
}
# What is done besides, for each 1,000 kills.
HARMS = {
    "drop": 60,
    "duplicate": 60,
    "reorder": 30,
    "replay": 30,
    "flush": 15,
    "lease": 40,
    "pause": 30,
    "pause-ctl": 10,
    "pause-conductor": 10,
    "long-pause": 6,
}
QUEUES = ("conductor", "scheduler")
SLOW_STARTERS = ("conductor", "scheduler", "api")
MOST_TRIES = 40  # to find a victim that runs


@dataclass
class Nemesis:
    """The blows of one run. `lease` and `down_after`: the cloud's, in seconds, for pauses that outlast them."""

    cloud: ChaosCloud
    watch: Watch
    seed: int
    kills: int
    seconds: float
    lease: float = 5.0
    down_after: float = 20.0
    says: Callable[[str], None] = lambda text: None
    last_kill_at: float = 0.0
    _random: random.Random = field(init=False)
    _timers: list[threading.Timer] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._random = random.Random(f"{self.seed}/nemesis")
        hosts = [f"compute.{host}{end}" for host in self.cloud.hosts for end in ("", ".ctl")]
        self._thief = Thief(self.cloud.broker(), random.Random(f"{self.seed}/thief"), [*QUEUES, *hosts])

    def plan(self) -> list[str]:
        """The kinds of all blows, in order."""
        kills = [kind for kind, share in KILLS.items() for _ in range(max(1, round(share * self.kills / 1000)))]
        while len(kills) > self.kills:  # rounding gave too many: of the others that there are most of
            most = max((kind for kind in KILLS if kind != "compute"), key=kills.count)
            kills.remove(most if kills.count(most) > 1 else "compute")
        kills += ["compute"] * (self.kills - len(kills))
        harms = [kind for kind, share in HARMS.items() for _ in range(max(1, round(share * self.kills / 1000)))]
        planned = [*kills, *harms]
        self._random.shuffle(planned)
        return planned

    def run(self) -> None:
        """Deals all blows, spread over the seconds; returns when the last is dealt and every pause is over."""
        planned = self.plan()
        begun, gap, last = time.monotonic(), self.seconds / max(1, len(planned)), 0.0
        try:
            for number, kind in enumerate(planned):
                due = begun + gap * (number + self._random.uniform(-0.4, 0.4))
                # One that took long to deal is not made up for by a hail of others.
                if self._stop.wait(max(due, last + gap / 2) - time.monotonic()):
                    return
                self.strike(kind)
                last = time.monotonic()
        finally:
            for timer in self._timers:
                timer.join()

    def stop(self) -> None:
        """No further blow."""
        self._stop.set()

    def strike(self, kind: str) -> None:
        """One blow; one that finds nothing to hit is said and not counted."""
        try:
            if kind in KILLS:
                self._kill(kind)
            elif kind.endswith("pause") or kind.startswith("pause"):
                self._pause(kind)
            elif kind == "lease":
                self._turn_back_a_lease()
            elif kind == "flush":
                self.cloud.broker().flushall()
                self.watch.struck(kind, "redis", is_kill=False)
            else:
                said = getattr(self._thief, kind)()
                if not said.startswith("0"):
                    self.watch.struck(kind, "redis", is_kill=False, details=said)
        except (redis.exceptions.RedisError, Trouble, OSError) as error:
            self.says(f"{kind}: {type(error).__name__}: {error}")

    def _kill(self, kind: str) -> None:
        for _ in range(MOST_TRIES):
            pids = self._pids(kind)
            if pids:
                name = self._random.choice(sorted(pids))
                try:
                    os.kill(pids[name], signal.SIGKILL)
                except ProcessLookupError:
                    continue
                self.last_kill_at = time.time()
                self.watch.struck(kind, name, is_kill=True)
                return
            time.sleep(0.25)
        self.says(f"{kind}: no such process runs")
        if kind != "compute":
            self._kill("compute")  # so that there are as many kills as were ordered

    def _pids(self, kind: str) -> dict[str, int]:
        """The processes of a kind: first ones of programs, or the children of the conductors. Of those that take long
        to start (half a minute on a busy machine) only such as are ready, or none would ever be: they have children."""
        pids = self.cloud.pids()
        if kind == "conductor-child":
            parents = [pid for name, pid in pids.items() if name.startswith("conductor-")]
            return {f"{kind} {pid}": pid for parent in parents for pid in _children(parent)}
        if kind in ("compute", "compute-ctl"):
            return {name: pid for name, pid in pids.items() if name in {f"{host}-{kind}" for host in self.cloud.hosts}}
        found = {name: pid for name, pid in pids.items() if name == kind or name.startswith(f"{kind}-")}
        return {name: pid for name, pid in found.items() if kind not in SLOW_STARTERS or _children(pid)}

    def _pause(self, kind: str) -> None:
        """SIGSTOP of a process, and SIGCONT when its lease (a long pause: when the down limit) is long over."""
        is_long = kind == "long-pause"
        of = {"pause-ctl": "compute-ctl", "pause-conductor": "conductor"}.get(kind, "compute")
        pids = self._pids(of)
        if not pids:
            return
        name = self._random.choice(sorted(pids))
        seconds = self.down_after * 1.3 if is_long else self.lease * self._random.uniform(1.2, 2.0)
        process = os.pidfd_open(pids[name])  # it may be killed meanwhile, and its number be another's
        signal.pidfd_send_signal(process, signal.SIGSTOP)
        self.watch.struck(kind, name, is_kill=False, details=f"{seconds:.1f} s")
        timer = threading.Timer(seconds, _go_on, (process,))
        timer.start()
        self._timers.append(timer)

    def _turn_back_a_lease(self) -> None:
        database: Database = self.watch.database
        found = database.rows(
            "SELECT id, name, host FROM workflow_actionevent WHERE state IN ('GIVEN', 'BEGUN') AND host <> ''"
            " AND lease_until IS NOT NULL ORDER BY id"
        )
        if found:
            one = self._random.choice(found)
            database.change(
                "UPDATE workflow_actionevent SET lease_until = ? WHERE id = ? AND lease_until IS NOT NULL",
                (database.moment(-60), one["id"]),
            )
            self.watch.struck("lease", f"{one['name']} on {one['host']}", is_kill=False)


def _go_on(process: int) -> None:
    try:
        signal.pidfd_send_signal(process, signal.SIGCONT)
    except ProcessLookupError:
        pass  # it was killed while it stood still
    finally:
        os.close(process)


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(word) for word in task.read_text().split()]
    return found
