"""Every operation of the registry, broken in every way at every step: afterwards nothing is left and the states are as
declared. A new verb is covered on arrival; it only needs its line in `SCENARIOS` (how its target comes to be). Who dies
meanwhile is in `test_every_death.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from cloud.errors import Abort, Reschedule, Retry
from cloud.workflow.models import Action, ActionEvent
from cloud.workflow.operation import ConductorStep, Operation, operation, operations
from cloud.workflow.states import ActionState, EventState, Verb
from hypervisor.steps import HostStep, StepHost
from instances.operations.base import InstanceOperation
from tests.operations.cloud_in_a_box import CloudInABox, Killed, Message
from tests.operations.scenarios import SCENARIOS, World

pytestmark = pytest.mark.django_db(transaction=True)

EVERY = sorted(name for name, verb in operations().items() if isinstance(verb, InstanceOperation))
EVERY_STEP = [(name, step.name) for name in EVERY for step in operation(name).sequence]
EVERY_HOST_STEP = [(n, s.name) for n in EVERY for s in operation(n).sequence if isinstance(s, HostStep)]
UNWINDING = [name for name in EVERY if not operation(name).goes_forward_only]


def before_pivot(name: str, step: str) -> bool:
    """There is a way back from the step: it comes before the pivot, or is one of the conductor's, which rolls back."""
    verb = operation(name)
    seq = next(seq for seq, known in enumerate(verb.sequence) if known.name == step)
    is_rolled_back = seq == verb.pivot and isinstance(verb.sequence[seq], ConductorStep)
    return verb.pivot is None or seq < verb.pivot or is_rolled_back


UNWINDING_STEP = [(n, s) for n, s in EVERY_STEP if n in UNWINDING and before_pivot(n, s)]
UNWINDING_HOST_STEP = [(n, s) for n, s in EVERY_HOST_STEP if (n, s) in UNWINDING_STEP]
PIVOT_STEP = [
    (n, operation(n).sequence[pivot].name)
    for n in UNWINDING
    if (pivot := operation(n).pivot) is not None and isinstance(operation(n).sequence[pivot], HostStep)
]
FORWARD_STEP = [(n, s) for n, s in EVERY_STEP if not before_pivot(n, s) and (n, s) not in PIVOT_STEP]


@pytest.fixture
def world(box: CloudInABox) -> World:
    return World(box)


def started(world: World, name: str) -> Action:
    """The action of operation `name`, begun on a target in the right state, with nothing delivered yet."""
    return SCENARIOS[name](world)


def break_step(
    world: World, monkeypatch: pytest.MonkeyPatch, verb: Operation, step_name: str, error: Exception, *, after: bool
) -> None:
    """Makes the step fail once, before its effect or after it."""
    left = [error]

    def failing(work: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def broken(step: Any) -> Any:
            if left and not after:
                raise left.pop()
            output = work(step)
            if left:
                raise left.pop()
            return output

        return broken

    step = next(step for step in verb.sequence if step.name == step_name)
    broken = dataclasses.replace(step, do=failing(step.do))
    if isinstance(step, ConductorStep):
        monkeypatch.setattr(verb, "sequence", tuple(broken if s.name == step_name else s for s in verb.sequence))
    else:
        for executor in world.box.executors.values():
            executor.steps[step_name] = broken  # type: ignore[assignment]


@pytest.mark.parametrize("name", EVERY)
def test_it_succeeds_and_keeps_what_its_table_says(world: World, name: str) -> None:
    action = started(world, name)
    world.box.recover()
    world.assert_succeeded(action)


@pytest.mark.parametrize("name", EVERY)
def test_every_message_twice_acts_once(world: World, name: str) -> None:
    action = started(world, name)

    def twice(message: Message) -> bool:
        world.box.deliver(message)
        return True

    while world.box.step(on=twice) is not None:
        pass
    world.box.recover()
    world.assert_succeeded(action)
    for event in ActionEvent.objects.filter(action=action, state=EventState.DONE):
        twins = ActionEvent.objects.filter(action=action, seq=event.seq, verb=event.verb, host=event.host)
        assert twins.filter(state=EventState.DONE).count() == 1, f"{event.name} was done in two turns"


@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "after its effect"])
@pytest.mark.parametrize(("name", "step"), UNWINDING_STEP)
def test_a_step_that_fails_leaves_nothing_but_a_fault(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, step: str, after: bool
) -> None:
    action = started(world, name)
    break_step(world, monkeypatch, operation(name), step, Abort("broken on purpose"), after=after)
    world.box.recover()
    world.assert_undone(action, ActionState.FAILED)
    assert "broken on purpose" in world.fault_message()


@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "after its effect"])
@pytest.mark.parametrize(("name", "step"), PIVOT_STEP)
def test_a_pivot_that_fails_is_asked_whether_it_happened(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, step: str, after: bool
) -> None:
    action = started(world, name)
    break_step(world, monkeypatch, operation(name), step, Abort("broken on purpose"), after=after)
    world.box.recover()
    if after:
        world.assert_succeeded(action)
    else:
        world.assert_undone(action, ActionState.FAILED)
        assert "broken on purpose" in world.fault_message()


@pytest.mark.parametrize(("name", "step"), FORWARD_STEP)
@pytest.mark.parametrize("error", [Abort("broken on purpose"), Retry("broken on purpose")], ids=["abort", "retry"])
def test_past_the_pivot_a_step_that_fails_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, step: str, error: Exception
) -> None:
    action = started(world, name)
    break_step(world, monkeypatch, operation(name), step, error, after=False)
    world.box.recover()
    world.assert_succeeded(action)


@pytest.mark.parametrize(("name", "step"), UNWINDING_HOST_STEP)
def test_a_step_that_may_be_retried_is_and_the_operation_succeeds(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, step: str
) -> None:
    action = started(world, name)
    break_step(world, monkeypatch, operation(name), step, Retry("not just now"), after=True)
    world.box.recover()
    world.assert_succeeded(action)


@pytest.mark.parametrize(("name", "step"), [(n, s) for n, s in UNWINDING_HOST_STEP if operation(n).max_attempts > 1])
def test_a_host_that_fails_is_left_for_another(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, step: str
) -> None:
    action = started(world, name)
    break_step(world, monkeypatch, operation(name), step, Reschedule("not on this host"), after=True)
    world.box.recover()
    world.assert_succeeded(action)
    failed = ActionEvent.objects.get(action=action, name=step, verb=Verb.DO, error__next="reschedule")
    assert world.instance().host not in ("", failed.host)
    if failed.host not in world.hosts_that_may_hold():  # a move keeps what it left until it is confirmed
        assert world.box.leftovers_on(failed.host, world.instance().pk) == []


@pytest.mark.parametrize(("name", "step"), UNWINDING_STEP)
def test_every_undo_twice_is_as_good_as_once(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, step: str
) -> None:
    action = started(world, name)
    break_step(world, monkeypatch, operation(name), step, Abort("broken on purpose"), after=True)

    def twice_when_undoing(message: Message) -> bool:
        orders = [part for part in message.args if isinstance(part, dict) and part.get("verb") in ("undo", "fence")]
        if orders:
            world.box.deliver(message)
        return True

    while world.box.step(on=twice_when_undoing) is not None:
        pass
    world.box.recover()
    world.assert_undone(action, ActionState.FAILED)


@pytest.mark.parametrize("name", EVERY)
def test_a_message_lost_at_any_point_is_made_up_for(world: World, name: str) -> None:
    total = 0
    while True:
        action = started(world, name)
        passed = 0

        def lose_one(message: Message, at: int = total) -> bool:
            nonlocal passed
            passed += 1
            return passed != at + 1

        while world.box.step(on=lose_one) is not None:
            pass
        was_reached = passed > total
        world.box.recover()
        world.assert_succeeded(action)
        if not was_reached:
            return
        total += 1
        world.start_over()


@pytest.mark.parametrize("name", EVERY)
def test_everything_lost_at_once_is_made_up_for(world: World, name: str) -> None:
    action = started(world, name)
    world.box.step()
    world.box.drain()
    world.box.recover()
    world.assert_succeeded(action)


@pytest.mark.parametrize("name", EVERY)
def test_a_conductor_that_dies_before_its_commit_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    from cloud.workflow.turn import Turn

    action = started(world, name)
    before = Action.objects.values().get(pk=action.pk)
    save = Turn.save

    def die(turn: Turn) -> None:
        save(turn)
        raise Killed("before the commit")

    monkeypatch.setattr(Turn, "save", die)
    with pytest.raises(Killed):
        world.box.step()
    assert Action.objects.values().get(pk=action.pk) == before
    monkeypatch.setattr(Turn, "save", save)
    world.box.recover()
    world.assert_succeeded(action)


@pytest.mark.parametrize("name", UNWINDING)
def test_a_cancelled_operation_is_undone(world: World, name: str) -> None:
    from cloud.workflow.runner import cancel

    action = started(world, name)
    world.box.step()
    assert cancel(action.pk)
    world.box.recover()
    action.refresh_from_db()
    if action.state == ActionState.SUCCEEDED:
        if operation(name).pivot is not None:  # its leg went past the pivot: too late
            world.assert_succeeded(action)
            return
        pytest.fail("the cancel was asked for between two steps and came to nothing")
    world.assert_undone(action, ActionState.CANCELLED)


@pytest.mark.parametrize("name", UNWINDING)
def test_a_delete_at_any_moment_wins_and_leaves_nothing(world: World, name: str) -> None:
    for moment in range(20):
        action = started(world, name)
        is_over = False
        for _ in range(moment):
            is_over = world.box.step() is None
        deletion = world.delete()
        world.box.recover()
        world.assert_deleted(deletion)
        action.refresh_from_db()
        assert action.state in (ActionState.CANCELLED, ActionState.SUCCEEDED)
        if is_over:
            return
        world.start_over()
    pytest.fail("the operation never ended by itself")


def test_a_step_of_an_old_turn_does_not_act_after_the_delete(world: World) -> None:
    """The boot's messages come late, after its instance is gone (rule R1)."""
    started(world, "boot")
    late: list[Message] = []

    def keep_host_messages(message: Message) -> bool:
        if message.task.startswith("hypervisor.") and not late:
            late.append(message)
            return False
        return True

    while world.box.step(on=keep_host_messages) is not None:
        pass
    assert late, "no leg was given"
    deletion = world.delete(hosts_known=False)
    world.box.recover()
    world.assert_deleted(deletion)
    world.box.deliver(late[0])
    world.box.recover()
    world.assert_deleted(deletion)


def test_the_host_steps_see_only_what_their_message_holds() -> None:
    assert StepHost.__module__ == "hypervisor.steps.declare"
    for verb in operations().values():
        for step in verb.sequence:
            assert (step.undo is None) != (step.no_undo == ""), f"{step.name} needs an undo or a reason"
