"""A kill at every boundary of every step of every operation, generated from the registry: each ends as the table says.

Host steps: while a step is done, undone, fenced or asked about, at the four points of the executor; the order is lost
with the worker, or comes back to the queue, as it does when one is killed.
Conductor steps: a turn is one transaction, so a conductor dies before its commit, before it publishes, or after.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cloud.errors import Abort
from cloud.workflow.models import Action, ActionEvent
from cloud.workflow.operation import Operation, operation, operations
from cloud.workflow.states import ActionState, EventState
from cloud.workflow.sweeps import SWEEPS
from hypervisor.steps import HostStep
from instances import services
from instances.models import Migration, MigrationStatus
from instances.states import VmState
from tests.operations.cloud_in_a_box import CloudInABox
from tests.operations.deaths import CONDUCTOR_POINTS, HOST_POINTS, conductor_dies_in_every_turn, worker_dies_once
from tests.operations.scenarios import SCENARIOS, World
from tests.operations.test_every_operation import (
    EVERY,
    EVERY_HOST_STEP,
    PIVOT_STEP,
    UNWINDING_HOST_STEP,
    break_step,
    started,
)

pytestmark = pytest.mark.django_db(transaction=True)


def _abort(world: World) -> Action:
    """A live migration that has just begun is to end."""
    SCENARIOS["live_migration"](world)
    world.box.step()
    return services.abort_live_migration(caller=world.admin, migration=Migration.objects.get())


def _force(world: World) -> Action:
    """A live migration whose guest is about to go is to complete."""
    SCENARIOS["live_migration"](world)
    while Migration.objects.get().status != MigrationStatus.RUNNING:
        world.box.step()
    return services.force_live_migration(caller=world.admin, migration=Migration.objects.get())


# Operations whose end is not one row of the table of verbs.
OTHERS: dict[str, Callable[[World], Action]] = {
    "network_reach": SCENARIOS["network_reach"],
    "clear_remains": SCENARIOS["clear_remains"],
    "clear_cache": SCENARIOS["clear_cache"],
    "live_migration_abort": _abort,
    "live_migration_force_complete": _force,
}
LAST_UNWINDING = dict(UNWINDING_HOST_STEP)  # the last host step from which there is a way back
UNDONE_STEP = [
    (name, step.name)
    for name, last in LAST_UNWINDING.items()
    for step in operation(name).sequence[: [s.name for s in operation(name).sequence].index(last) + 1]
    if isinstance(step, HostStep)
]


@pytest.fixture
def world(box: CloudInABox) -> World:
    return World(box)


def test_every_operation_of_the_registry_is_broken_here() -> None:
    assert {*EVERY, *OTHERS} == set(operations())


@pytest.mark.parametrize(("name", "step"), EVERY_HOST_STEP)
def test_a_worker_that_dies_at_a_step_is_made_up_for(world: World, name: str, step: str) -> None:
    seq, declared = next((seq, s) for seq, s in enumerate(operation(name).sequence) if s.name == step)
    for place, point in enumerate(HOST_POINTS):
        action = started(world, name)
        comes_back = (seq + place) % 2 == 0  # each point both ways, over the registry
        assert worker_dies_once(world.box, point, is_order(step, "do"), is_kept=comes_back), f"{step} was never reached"
        world.box.recover()
        action.refresh_from_db()
        if isinstance(declared, HostStep) and declared.once and point in ("before_effect", "before_record"):
            world.assert_undone(action, ActionState.FAILED)  # nobody knows whether it took effect: it is not repeated
            assert "not known" in world.fault_message()
        elif (name, step) in PIVOT_STEP and action.state == ActionState.FAILED:
            world.assert_undone(action, ActionState.FAILED)  # asked, it had not happened (rule R5)
        else:
            world.assert_succeeded(action)
        world.start_over()


def is_order(step: str, *verbs: str, host: str = "") -> Callable[[dict[str, Any]], bool]:
    """Whether an order is for that step (any, without a name), one of the verbs, and that host."""
    return lambda order: order["verb"] in verbs and step in ("", order["name"]) and host in ("", order["host"])


@pytest.mark.parametrize(("name", "step"), UNDONE_STEP)
def test_a_worker_dies_while_a_step_is_undone_or_fenced(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, step: str
) -> None:
    for point in HOST_POINTS:
        action = started(world, name)
        with monkeypatch.context() as patch:
            break_step(world, patch, operation(name), LAST_UNWINDING[name], Abort("broken on purpose"), after=True)
            is_kept = point in ("before_effect", "after_record")
            assert worker_dies_once(world.box, point, is_order(step, "undo", "fence"), is_kept=is_kept), point
            world.box.recover()
        world.assert_undone(action, ActionState.FAILED)
        world.start_over()


@pytest.mark.parametrize("has_moved", [True, False], ids=["it happened", "it did not happen"])
@pytest.mark.parametrize(("name", "step"), PIVOT_STEP)
def test_a_worker_dies_while_it_is_asked_about_the_pivot(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, step: str, has_moved: bool
) -> None:
    for point in HOST_POINTS:
        action = started(world, name)
        with monkeypatch.context() as patch:
            break_step(world, patch, operation(name), step, Abort("broken on purpose"), after=has_moved)
            assert worker_dies_once(world.box, point, is_order("", "ask"), is_kept=point == "after_record")
            world.box.recover()
        if has_moved:
            world.assert_succeeded(action)
        else:
            world.assert_undone(action, ActionState.FAILED)
        world.start_over()


@pytest.mark.parametrize("verb", ["fence", "do"])
@pytest.mark.parametrize("which", [0, 1], ids=["the first host", "the second host"])
def test_a_worker_dies_while_a_delete_is_on_two_hosts(world: World, verb: str, which: int) -> None:
    for point in HOST_POINTS:
        world.booted()
        world.bring_to(VmState.RESIZED)
        deletion = world.delete()
        host = deletion.parameters["hosts"][which]
        assert worker_dies_once(world.box, point, is_order("", verb, host=host), is_kept=True)
        world.box.recover()
        world.assert_deleted(deletion)


@pytest.mark.parametrize("is_kept", [True, False], ids=["its message comes back", "its message is lost"])
@pytest.mark.parametrize("point", CONDUCTOR_POINTS)
@pytest.mark.parametrize("name", EVERY)
def test_the_conductor_dies_in_every_turn(world: World, name: str, point: str, is_kept: bool) -> None:
    action = started(world, name)
    assert to_the_end(world, point, is_kept=is_kept)
    world.assert_succeeded(action)
    done = ActionEvent.objects.filter(action=action, verb="do", state=EventState.DONE).values_list("seq", "host")
    assert len(done) == len(set(done)), "a step was done in two turns"


@pytest.mark.parametrize("point", CONDUCTOR_POINTS)
@pytest.mark.parametrize("name", LAST_UNWINDING)
def test_the_conductor_dies_in_every_turn_of_the_way_back(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, point: str
) -> None:
    action = started(world, name)
    break_step(world, monkeypatch, operation(name), LAST_UNWINDING[name], Abort("broken on purpose"), after=True)
    assert to_the_end(world, point, is_kept=point != "before_publish")
    world.assert_undone(action, ActionState.FAILED)


def to_the_end(world: World, point: str, *, is_kept: bool) -> int:
    """Until no action is alive, with a conductor's death in every turn; how many they were."""
    died, turns = 0, set[tuple[str, int]]()
    for _ in range(40):
        died += conductor_dies_in_every_turn(world.box, point, turns, is_kept=is_kept)
        if not world.box.live_actions():
            return died
        world.box.expire()
        for name, sweep in SWEEPS:
            if name != "workflow.mark_hosts_down":  # nobody beats here
                sweep()
    raise AssertionError(f"not ended: {world.box.live_actions()}")


@pytest.mark.parametrize("name", OTHERS)
def test_who_does_the_other_operations_dies(world: World, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("SIMULATED_STEER_SECONDS", "0.05")
    verb: Operation = operation(name)
    for step in verb.sequence:
        for point in HOST_POINTS:
            action = OTHERS[name](world)
            assert worker_dies_once(world.box, point, is_order(step.name, "do"), is_kept=True)
            world.box.recover()
            action.refresh_from_db()
            assert action.state == ActionState.SUCCEEDED, (step.name, point, action.fault)
            world.assert_consistent()
            world.start_over()
            Migration.objects.all().delete()
    for point in CONDUCTOR_POINTS:
        action = OTHERS[name](world)
        assert to_the_end(world, point, is_kept=True)
        action.refresh_from_db()
        assert action.state == ActionState.SUCCEEDED, (point, action.fault)
        world.assert_consistent()
        world.start_over()
        Migration.objects.all().delete()
