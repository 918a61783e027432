"""The harness itself: a seed repeats its choices, the shares are kept, and each invariant can be broken."""

from __future__ import annotations

import json
import random
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.chaos import invariants
from tests.chaos.asking import Asking
from tests.chaos.cloud import ChaosCloud
from tests.chaos.load import VERBS, Accepted, Load, Made, User
from tests.chaos.nemesis import HARMS, KILLS, Nemesis


def nemesis(seed: int, kills: int) -> Nemesis:
    """One that has a cloud in name only."""
    cloud: Any = SimpleNamespace(hosts={"c1": Path()}, broker=lambda: None)
    watch: Any = SimpleNamespace()
    return Nemesis(cloud, watch, seed, kills, 1.0)


def test_a_seed_repeats_the_order_of_the_blows_and_another_does_not() -> None:
    assert nemesis(7, 100).plan() == nemesis(7, 100).plan()
    assert nemesis(7, 100).plan() != nemesis(8, 100).plan()


@pytest.mark.parametrize(("kills", "of_workers"), [(1000, 600), (40, 24), (20, 12)])
def test_most_kills_are_of_compute_workers_and_every_other_kind_gets_some(kills: int, of_workers: int) -> None:
    counted = Counter(nemesis(1, kills).plan())
    assert sum(counted[kind] for kind in KILLS) == kills
    assert counted["compute"] >= of_workers
    assert set(counted) == {*KILLS, *HARMS}


def test_every_verb_of_the_load_has_a_body() -> None:
    made = Made(url="", password="", image="i", flavors=("f",), network="n")
    user = User(Load(made, seed=1), random.Random(1), "u")
    for verb in {verb for weighted in VERBS.values() for verb, _ in weighted} - {"delete"}:
        assert user._body(verb)


def test_an_effect_that_happens_twice_in_one_attempt_is_seen(tmp_path: Path) -> None:
    write_journal(tmp_path, [("t1", 2, 10.0), ("t2", 3, 20.0)], effects=[11.0, 21.0])
    assert list(invariants._of_effects({"h": tmp_path})) == []
    write_journal(tmp_path, [("t1", 2, 10.0), ("t2", 3, 20.0)], effects=[11.0, 12.0])
    (breach,) = invariants._of_effects({"h": tmp_path})
    assert (breach.invariant, breach.subject) == ("an effect at most once per attempt", "target")


def test_a_step_of_an_old_turn_after_one_of_a_new_turn_is_seen(tmp_path: Path) -> None:
    write_journal(tmp_path, [("t1", 3, 10.0), ("t2", 2, 20.0)], effects=[])
    (breach,) = invariants._of_effects({"h": tmp_path})
    assert breach.invariant == "no effect after its fence"


def write_journal(directory: Path, begun: list[tuple[str, int, float]], effects: list[float]) -> None:
    """A host's journal of one target, and what its driver did."""
    log = directory / "journal" / "target" / "log"
    log.parent.mkdir(parents=True, exist_ok=True)
    lines = [{"token": t, "begun": at, "name": "start_guest", "verb": "do", "turn": turn} for t, turn, at in begun]
    log.write_text("\n".join(json.dumps(line) for line in lines))
    (directory / "simulated").mkdir(exist_ok=True)
    done = [{"at": at, "what": "started", "instance": "target"} for at in effects]
    (directory / "simulated" / "effects.log").write_text("\n".join(json.dumps(line) for line in done))


# --- damage to a real one ---------------------------------------------------------------------------------------------


@contextmanager
def changed(asking: Asking, change: str, back: str, *values: Any) -> Iterator[None]:
    """A row is other than it should be, for the body."""
    assert asking.database.change(change, values) >= 1
    try:
        yield
    finally:
        asking.database.change(back, values)


def key(asking: Asking, server: str) -> str:
    """An id as the database has it."""
    return server if asking.database.is_postgres else server.replace("-", "")


def wrong_usage(asking: Asking, server: str) -> Any:
    more = "UPDATE scheduling_computenode SET used_vcpus = used_vcpus {} 1 WHERE host = ?"
    return changed(asking, more.format("+"), more.format("-"), asking.instance(server)["host"])


def task_without_action(asking: Asking, server: str) -> Any:
    sets = "UPDATE instances_instance SET task_state = {} WHERE id = ?"
    return changed(asking, sets.format("'rebuilding'"), sets.format("NULL"), key(asking, server))


def stuck_action(asking: Asking, server: str) -> Any:
    sets = "UPDATE workflow_action SET state = '{}' WHERE target_id = ?"
    return changed(asking, sets.format("STUCK"), sets.format("SUCCEEDED"), key(asking, server))


def port_elsewhere(asking: Asking, server: str) -> Any:
    sets = "UPDATE networks_port SET moving_to = '{}' WHERE device_id = ?"
    return changed(asking, sets.format("c9"), sets.format(""), server)


@contextmanager
def second_guest(asking: Asking, server: str) -> Iterator[None]:
    host = asking.instance(server)["host"]
    other = next(name for name in asking.cloud.hosts if name != host)
    source, copy = (asking.cloud.hosts[h] / "simulated" / "domains" / f"{server}.json" for h in (host, other))
    shutil.copyfile(source, copy)
    try:
        yield
    finally:
        copy.unlink()


@contextmanager
def guest_of_nobody(asking: Asking, server: str) -> Iterator[None]:
    note = asking.cloud.hosts["c3"] / "simulated" / "domains" / f"{uuid.uuid4()}.json"
    note.write_text(json.dumps({"power_state": 1, "action": "", "memory_mib": 64}))
    try:
        yield
    finally:
        note.unlink()


@contextmanager
def lost_request(asking: Asking, server: str) -> Iterator[None]:
    asking.load.accepted.append(Accepted(verb="stop", server=server, request_id="req-lost", at=time.time()))
    try:
        yield
    finally:
        asking.load.accepted.pop()


DAMAGE: dict[str, Callable[[Asking, str], Any]] = {
    "counts": wrong_usage,
    "no action of it is alive": task_without_action,
    "is STUCK": stuck_action,
    "is on its way": port_elsewhere,
    "runs on 2 hosts": second_guest,
    "that is no instance's": guest_of_nobody,
    "no action knows of it": lost_request,
}


@pytest.mark.chaos
def test_each_kind_of_damage_to_a_cloud_is_seen_and_a_sound_one_has_none(simulated: ChaosCloud) -> None:
    asking = Asking(simulated)
    (server,) = asking.boot("sound")
    asking.wait_quiet()
    assert asking.breaches() == []
    for said, damage in DAMAGE.items():
        with damage(asking, server):
            assert any(said in breach for breach in asking.breaches()), said
    assert asking.breaches() == []
    asking.delete(server)
    assert asking.breaches() == []
