"""Cancel by the user, for every operation of the registry: between any two of its messages, and in the middle of every
step that may be stopped. It ends as its table says with nothing left; past the point of no return it is refused."""

from __future__ import annotations

import dataclasses
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from cloud.workflow.interventions import ActionNotFound, NotCancellable, cancel_action
from cloud.workflow.models import Action, ActionEvent
from cloud.workflow.operation import operation
from cloud.workflow.states import LIVE, ActionState, EventState, Verb
from hypervisor.steps import HostStep, StepHost
from instances.operations.base import InstanceOperation
from tests.operations.cloud_in_a_box import CloudInABox, Message
from tests.operations.scenarios import SCENARIOS, World
from tests.operations.test_every_operation import EVERY, UNWINDING

pytestmark = pytest.mark.django_db(transaction=True)

CANCELLABLE = [
    (name, step.name)
    for name in EVERY
    for step in operation(name).sequence
    if isinstance(step, HostStep) and step.cancellable
]
FORWARD_ONLY = [name for name in EVERY if operation(name).goes_forward_only]


@pytest.fixture
def world(box: CloudInABox) -> World:
    return World(box)


def is_pivot_given(action: Action) -> bool:
    """Its pivot was handed out: from here on whether it happened decides, not the cancel (rule R5)."""
    pivot = operation(action.operation).pivot
    return pivot is not None and ActionEvent.objects.filter(action=action, seq=pivot, verb=Verb.DO).exists()


def is_pivot_done(action: Action) -> bool:
    pivot = operation(action.operation).pivot
    done = ActionEvent.objects.filter(action=action, seq=pivot, verb=Verb.DO, state=EventState.DONE)
    return pivot is not None and done.exists()


@pytest.mark.parametrize("name", UNWINDING)
def test_a_cancel_between_any_two_messages_ends_as_the_table_says(world: World, name: str) -> None:
    for moment in range(40):
        action = SCENARIOS[name](world)
        for _ in range(moment):
            world.box.step()
        action.refresh_from_db()
        is_over, was_given, was_done = action.state not in LIVE, is_pivot_given(action), is_pivot_done(action)
        if is_over or was_done:
            with pytest.raises(NotCancellable, match="ended, as SUCCEEDED" if is_over else "point of no return"):
                cancel_action(action.pk)
            world.box.recover()
            world.assert_succeeded(action)
        else:
            assert cancel_action(action.pk).cancel_requested
            world.box.recover()
            action.refresh_from_db()
            if action.state == ActionState.SUCCEEDED:
                assert was_given, f"it was cancelled before the pivot, at message {moment}, and succeeded"
                world.assert_succeeded(action)
            else:
                world.assert_undone(action, ActionState.CANCELLED)
        if is_over:
            assert moment > 0
            return
        world.start_over()
    pytest.fail("the operation never ended by itself")


@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "after its effect"])
@pytest.mark.parametrize(("name", "step"), CANCELLABLE)
def test_a_cancel_in_the_middle_of_a_step_stops_it_and_it_is_undone(
    world: World, name: str, step: str, after: bool
) -> None:
    action = SCENARIOS[name](world)
    at_work = threading.Event()
    makes_slow(world, step, at_work, after=after)
    message = run_up_to(world, step)
    host = message.args[-1]["host"]
    results: list[Any] = []
    carrier = threading.Thread(target=lambda: results.append(world.box.executors[host].carry(*message.args)))
    carrier.start()
    assert at_work.wait(20), "the step did not begin"
    world.box.renew(host)  # as its agent does every few seconds
    before = Action.objects.get(pk=action.pk).turn
    assert cancel_action(action.pk).turn > before, "it waits for the step's own end"
    world.box.recover()
    carrier.join(timeout=20)
    assert results == [None], "a step that was stopped is nobody's to hear of"
    action.refresh_from_db()
    if after and action.state == ActionState.SUCCEEDED:  # it was the pivot, and it had happened
        assert operation(name).sequence[operation(name).pivot or 0].name == step
        world.assert_succeeded(action)
        return
    world.assert_undone(action, ActionState.CANCELLED)


def makes_slow(world: World, step: str, at_work: threading.Event, *, after: bool) -> None:
    """The step lasts until it is stopped, before it does anything or when all is done but the record of it."""
    pause = threading.Event()
    for executor in world.box.executors.values():
        declared = executor.steps[step]

        def slow(host: StepHost, do: Callable[[StepHost], Any] = declared.do) -> Any:
            if after:
                do(host)
            at_work.set()
            for _ in range(2000):
                host.progress(50, "on its way")
                pause.wait(0.01)
            raise AssertionError("nobody stopped it")

        executor.steps[step] = dataclasses.replace(declared, do=slow)


def run_up_to(world: World, step: str) -> Message:
    """Delivers until the order of that step is in hand, which is not delivered."""
    held: list[Message] = []

    def is_other(message: Message) -> bool:
        order = message.args[-1]
        is_order = message.task.startswith("hypervisor.") and isinstance(order, dict)
        if is_order and (order.get("name"), order.get("verb")) == (step, "do"):
            held.append(message)
            return False
        return True

    while not held:
        assert world.box.step(on=is_other) is not None, f"{step} was never given"
    return held[0]


@pytest.mark.parametrize("name", FORWARD_ONLY)
def test_what_goes_forward_only_cannot_be_cancelled(world: World, name: str) -> None:
    action = SCENARIOS[name](world)
    with pytest.raises(NotCancellable, match="no way back"):
        cancel_action(action.pk)
    world.box.recover()
    world.assert_succeeded(action)


def test_what_was_never_begun_ends_without_a_step(world: World) -> None:
    action = world.boot()
    cancel_action(action.pk)
    world.box.run()
    world.assert_undone(action, ActionState.CANCELLED)
    assert not ActionEvent.objects.filter(action=action).exists()


def test_a_step_that_waits_to_be_tried_again_is_not_waited_for(world: World) -> None:
    action = world.boot()
    world.box.step()
    host = world.instance().host
    world.box.executors[host].driver.faults.plan("disks.create", error="PeerUnreachable", count=9)  # type: ignore[attr-defined]
    world.box.run()
    action.refresh_from_db()
    assert action.not_before is not None
    cancel_action(action.pk)
    world.box.run()  # no time passes
    world.assert_undone(action, ActionState.CANCELLED)


def test_a_cancel_may_be_asked_for_twice(world: World) -> None:
    action = world.boot()
    world.box.step()
    cancel_action(action.pk)
    turn = Action.objects.get(pk=action.pk).turn
    assert cancel_action(action.pk).turn == turn
    world.box.recover()
    world.assert_undone(action, ActionState.CANCELLED)


def test_what_failed_and_is_being_undone_keeps_its_fault(world: World) -> None:
    action = world.boot()
    world.box.step()
    Action.objects.filter(pk=action.pk).update(state=ActionState.UNWINDING, unwind_reason="failed")
    with pytest.raises(NotCancellable, match="being undone already"):
        cancel_action(action.pk)


def test_an_action_that_is_not_there_is_not_found() -> None:
    with pytest.raises(ActionNotFound):
        cancel_action(uuid.uuid4())


def test_every_operation_on_instances_may_be_cancelled_or_says_why_not() -> None:
    assert set(UNWINDING) | set(FORWARD_ONLY) == set(EVERY)
    assert all(isinstance(operation(name), InstanceOperation) for name in EVERY)
    assert CANCELLABLE
