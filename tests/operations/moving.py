"""A small operation with a point of no return in the middle: it moves a guest from h1 to h2."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from cloud.workflow.models import Action
from cloud.workflow.operation import PIVOT, Operation, StepContext, operations
from cloud.workflow.runner import take_over
from cloud.workflow.services import start_actions
from cloud.workflow.states import ActionState
from hypervisor import reports
from hypervisor.steps import Role, StepHost
from hypervisor.steps.declare import host_step
from tests.operations.cloud_in_a_box import CloudInABox, Message
from tests.operations.scenarios import World


@dataclass
class Place:
    """Where the one guest of these tests is, and what becomes of the next calls."""

    host: str = "h1"
    prepared: bool = False
    cleaned: bool = False
    calls: list[str] = field(default_factory=list)
    errors: dict[str, list[Exception]] = field(default_factory=dict)

    def reset(self) -> None:
        """As it is before a test."""
        vars(self).update(vars(Place()))

    def called(self, name: str) -> None:
        self.calls.append(name)
        if self.errors.get(name):
            raise self.errors[name].pop()


place = Place()


def drop_prepared(step: StepHost) -> None:
    """After it nothing is prepared. What was moved there would be lost with it."""
    place.called("drop_prepared")
    place.prepared = False
    if place.host == "h2":
        place.host = "lost"


@host_step(Role.DESTINATION, undo=drop_prepared)
def prepare(step: StepHost) -> None:
    """Makes the place that the guest moves to."""
    place.called("prepare")
    place.prepared = True


def has_moved(step: StepHost) -> dict[str, Any]:
    """Whether the guest has moved."""
    place.called("ask")
    return {"moved": place.host == "h2"}


@host_step(Role.SOURCE, ask=has_moved, no_undo="what did not move is where it was")
def move(step: StepHost) -> None:
    """Moves the guest: the point of no return."""
    place.called("move")
    place.host = "h2"


@host_step(Role.SOURCE, no_undo="the guest is elsewhere")
def clean(step: StepHost) -> None:
    """Removes what the guest left behind."""
    place.called("clean")
    place.cleaned = True


class Move(Operation):
    """Moves a guest from h1 to h2."""

    name = action = "move"
    steps = (prepare, PIVOT, move, clean)
    fenced: bool | None = None

    def hosts(self, role: Role, context: StepContext) -> tuple[str, ...]:
        return ("h1",) if role == Role.SOURCE else ("h2",)

    def moved_when_fenced(self, context: StepContext, host: str) -> bool | None:
        return self.fenced


def moving_world(box: CloudInABox, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose hosts know how to move."""
    monkeypatch.setitem(operations(), "move", Move())
    place.reset()
    start = box.start_worker

    def start_worker(name: str) -> Any:
        executor = start(name)
        executor.steps |= {"prepare": prepare, "move": move, "clean": clean}
        return executor

    monkeypatch.setattr(box, "start_worker", start_worker)
    box.restart_workers()
    return World(box)


def begun(world: World) -> Action:
    world.booted()
    (action,) = start_actions(
        operation="move", targets=[world.instance().pk], project_id="p", user_id="u", parameters={}
    )
    return action


def at_the_pivot(world: World) -> tuple[Action, Message]:
    """A move whose pivot was given; its order, taken from the queue and not delivered."""
    action = begun(world)
    for _ in range(3):  # begin, prepare, its report
        world.box.step()
    message = world.box.take(reports.queue_of("h1"))
    assert message is not None
    assert message.args[1]["name"] == "move"
    assert place.prepared
    action.refresh_from_db()
    return action, message


def silent(action: Action) -> None:
    """A sweep takes the action over: its host fell silent."""
    assert take_over(action.pk, Action.objects.get(pk=action.pk).turn, "silent", spends_attempt=True)


def ended(world: World, action: Action) -> ActionState:
    world.box.recover()
    action.refresh_from_db()
    return ActionState(action.state)


def assert_moved(world: World, action: Action) -> None:
    assert ended(world, action) == ActionState.SUCCEEDED, action.fault
    assert (place.host, place.cleaned, action.fault) == ("h2", True, None)
    assert "drop_prepared" not in place.calls


def assert_unmoved(world: World, action: Action, state: ActionState = ActionState.FAILED) -> None:
    assert ended(world, action) == state, action.fault
    assert (place.host, place.prepared) == ("h1", False)
