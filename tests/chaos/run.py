"""One run: the cloud comes up, the load begins, the nemesis strikes, all calms down, and then everything is checked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from cloud.embedded.progress import Console
from tests.chaos import cloud as cloud_
from tests.chaos import invariants, report
from tests.chaos.cloud import ChaosCloud, Plan
from tests.chaos.database import Database
from tests.chaos.invariants import Breach
from tests.chaos.load import Load
from tests.chaos.nemesis import Nemesis
from tests.chaos.watch import LIVE, Watch

CALM = 120.0  # seconds after the last kill in which every operation has to end
QUIET = 4.0  # seconds without a live action or a debt after which nothing more is to be expected
PROGRESS = 15.0


@dataclass(frozen=True, kw_only=True)
class Order:
    """What run is wanted. It goes on until the seconds are over and there were enough kills and operations."""

    seed: int
    seconds: float
    kills: int
    operations: int = 0
    users: int = 8
    pause: float = 1.2
    plan: Plan = field(default_factory=Plan)


@dataclass
class Outcome:
    """What came of it: the figures, and the timelines of what is broken."""

    figures: dict[str, Any]
    timelines: list[str]

    @property
    def is_well(self) -> bool:
        """Nothing is broken, stuck or unfinished."""
        return not any(self.figures[name] for name in ("broken_invariants", "stuck", "unfinished"))


def run(order: Order, console: Console) -> Outcome:
    """The whole run, in a cloud of its own."""
    console.line(f"chaos: seed {order.seed}, {order.kills} kills in {order.seconds:.0f} s or more")
    with cloud_.running(order.plan, console) as cloud:
        return _in(cloud, order, console)


def _in(cloud: ChaosCloud, order: Order, console: Console) -> Outcome:
    database = Database(cloud.database_url)
    load, watch = Load(cloud.made, order.seed, users=order.users, pause=order.pause), Watch(database)
    nemesis = Nemesis(
        cloud,
        watch,
        order.seed,
        order.kills,
        order.seconds,
        lease=float(cloud.settings.get("LEASE", "15")),
        down_after=float(cloud.settings.get("DOWN_AFTER", "60")),
        says=console.line,
    )
    return endure(
        load,
        watch,
        nemesis,
        lambda: invariants.breaches(database, cloud.hosts, load.accepted),
        console,
        operations=order.operations,
        said={
            "seed": order.seed,
            "database": "postgresql" if database.is_postgres else "sqlite",
            "timing": dict(order.plan.timing) or "the product's defaults",
        },
    )


class Striker(Protocol):
    """Who deals the blows."""

    last_kill_at: float

    def run(self) -> None:
        """Deals all of them; returns after the last."""

    def stop(self) -> None:
        """No further one."""


def endure(
    load: Load,
    watch: Watch,
    nemesis: Striker,
    check: Callable[[], list[Breach]],
    console: Console,
    *,
    operations: int,
    said: dict[str, Any],
) -> Outcome:
    """Lets load and nemesis loose until the last blow is dealt and so many operations were accepted; waits until all
    have ended; checks. `said` is what the figures say of the run besides."""
    begun = time.time()
    watch.start()
    load.start()
    striker = threading.Thread(target=nemesis.run, name="nemesis")
    striker.start()
    try:
        while striker.is_alive() or len(load.accepted) < operations:
            striker.join(PROGRESS)
            if not striker.is_alive():
                time.sleep(1)
            console.line(_progress(time.time() - begun, load, watch))
    except KeyboardInterrupt:
        console.line("interrupted: no further blow and no further request; waits for what is under way, and checks")
    finally:
        nemesis.stop()
        striker.join()
        load.stop()
    breaches, quiet_after = _settle(watch.database, check, nemesis.last_kill_at)
    watch.look()
    watch.stop()
    said |= {"seconds": round(time.time() - begun, 1), "all_ended_after_last_kill_s": quiet_after}
    figures = report.figures(watch.database, load, watch.blows, breaches, said)
    return Outcome(figures, [_with_timeline(watch.database, watch, breach) for breach in breaches])


def _settle(
    database: Database, check: Callable[[], list[Breach]], last_kill: float
) -> tuple[list[Breach], float | None]:
    """Waits until nothing is under way, at most CALM after the last kill (and the last request); then checks. Gives
    what is broken, and after how many seconds everything had ended."""
    until = max(last_kill, time.time()) + CALM
    quiet_since: float | None = None
    while time.time() < until:
        busy = database.rows(f"SELECT COUNT(*) AS n FROM workflow_action WHERE state IN {LIVE}")[0]["n"]
        busy += database.rows("SELECT COUNT(*) AS n FROM workflow_actionevent WHERE state = 'OWED'")[0]["n"]
        if busy:
            quiet_since = None
        elif quiet_since is None:
            quiet_since = time.time()
        elif time.time() - quiet_since > QUIET:
            if not check():
                break
            time.sleep(3)  # a sweep may be about to repair it: what it does within the time is no breach
        time.sleep(0.5)
    return check(), round(quiet_since - last_kill, 1) if quiet_since else None


def _progress(seconds: float, load: Load, watch: Watch) -> str:
    kills = sum(blow.is_kill for blow in watch.blows)
    waiting = sum(blow.recovered_after is None for blow in list(watch.blows))
    others = len(watch.blows) - kills
    return (
        f"{seconds:6.0f} s  {len(load.accepted):5} operations  {kills:4} kills  {others:3} other blows  "
        f"{watch.live:3} alive  {waiting:2} blows not recovered from  {load.unanswered} unanswered"
    )


def _with_timeline(database: Database, watch: Watch, breach: Breach) -> str:
    head = f"✗ {breach.invariant}: {breach.subject} {breach.text}"
    return f"{head}\n{report.timeline(database, breach.subject, watch.blows)}" if breach.subject else head
