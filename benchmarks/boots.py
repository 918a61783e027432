"""`python -m benchmarks boots`: boots, lists, gets, deletes; each phase timed, with the CPU seconds of each process."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, field

from benchmarks import cpu
from benchmarks.cloud import PrivateCloud
from benchmarks.figures import Measure, Work
from benchmarks.load import LIST_LIMIT, CallFailed, Client, Load, logged_in
from cloud.embedded.progress import Console

ONE_BY_ONE = 20
LISTS = 10
GETS = 200
MANY_CLIENTS = 8
GETS_OF_MANY = 800
IDLE_SECONDS = 5


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much work: `instances` booted by `clients` at a time; `lists_1000`: filled up to 1,000 before the lists."""

    instances: int = 100
    clients: int = 8
    lists_1000: bool = False


@dataclass
class Outcome:
    """What came of a run. It is well when every call and every boot went well."""

    measures: list[Measure] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Phases:
    """Runs one phase after the other, with the CPU clocks read around each."""

    cloud: PrivateCloud
    console: Console
    outcome: Outcome

    async def phase(self, name: str, title: str, work: Awaitable[Work]) -> None:
        with self.console.step(title) as step:
            loop_before = cpu.loop_milliseconds()
            before, own = cpu.by_tree(self.cloud.roots), _own_seconds()
            done = await work
            after, own_after = cpu.by_tree(self.cloud.roots), _own_seconds()
            measure = Measure(
                name=name,
                title=title,
                work=done,
                cpu_seconds={process: after[process] - before[process] for process in after},
                load_generator_cpu_seconds=own_after - own,
                loop_ms=(loop_before + cpu.loop_milliseconds()) / 2,
            )
            self.outcome.measures.append(measure)
            step.note(f"{done.rate:.1f}/s, {measure.cpu_total_each * 1000:.1f} ms CPU each")


def run(cloud: PrivateCloud, size: Size, console: Console) -> Outcome:
    """All phases. A phase that cannot go on ends the run; what was measured before it is in the outcome."""
    outcome = Outcome()
    asyncio.run(_run(cloud, size, console, outcome))
    return outcome


async def _run(cloud: PrivateCloud, size: Size, console: Console, outcome: Outcome) -> None:
    async with logged_in(cloud.url, cloud.admin_password) as client:
        with suppress(CallFailed):  # it is in the client's failures
            await _phases(cloud, size, console, outcome, client)
        outcome.failures += client.failures


async def _phases(cloud: PrivateCloud, size: Size, console: Console, outcome: Outcome, client: Client) -> None:
    load = Load(client=client, image=cloud.image, flavor=cloud.flavor)
    run = _Phases(cloud=cloud, console=console, outcome=outcome)
    with console.step("warm up"):
        await load.boot(size.clients, size.clients, "warm")
        await load.delete_all(size.clients)
    await run.phase("idle", "idle, a second", _idle())
    title = f"boot {size.instances}, {size.clients} at a time"
    await run.phase("boot", title, load.boot(size.instances, size.clients, "bench"))
    title = f"one boot, POST to ACTIVE, {ONE_BY_ONE} times"
    await run.phase("boot_one", title, load.boot_one_by_one(ONE_BY_ONE, "single"))
    have = size.instances + ONE_BY_ONE
    if size.lists_1000 and have < LIST_LIMIT:
        title = f"boot {LIST_LIMIT - have} more"
        await run.phase("boot_more", title, load.boot(LIST_LIMIT - have, size.clients, "more"))
        have = LIST_LIMIT
    listed = min(have, LIST_LIMIT)
    name = "list_1000" if listed == LIST_LIMIT else "list"
    await run.phase(name, f"GET /servers/detail, {listed} servers", load.list_in_detail(LISTS))
    await run.phase("get_one", "GET one server, 1 client", load.get_one(GETS, 1))
    title = f"GET one server, {MANY_CLIENTS} clients"
    await run.phase(f"get_one_{MANY_CLIENTS}", title, load.get_one(GETS_OF_MANY, MANY_CLIENTS))
    await run.phase("delete", f"delete {have}, {size.clients} at a time", load.delete_all(size.clients))


async def _idle() -> Work:
    """What heartbeats, sweeps and pings cost while nobody asks for anything."""
    begun = time.perf_counter()
    await asyncio.sleep(IDLE_SECONDS)
    return Work(operations=IDLE_SECONDS, seconds=time.perf_counter() - begun)


def _own_seconds() -> float:
    spent = os.times()
    return spent.user + spent.system
