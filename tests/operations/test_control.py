"""Steps of the control process, for aborts that must not wait for a busy pool or for the target's slot; and cancels."""

from __future__ import annotations

import dataclasses
import threading
import uuid
from typing import Any

import pytest

from cloud.workflow.models import Action, ActionEvent
from cloud.workflow.operation import Operation, StepContext, operations
from cloud.workflow.runner import cancel
from cloud.workflow.services import start_actions
from cloud.workflow.states import ActionState, EventState, Verb
from hypervisor import reports
from hypervisor.steps import Role, StepHost
from hypervisor.steps.declare import host_step
from tests.operations.cloud_in_a_box import CloudInABox, Message
from tests.operations.scenarios import World

pytestmark = pytest.mark.django_db(transaction=True)

seen: list[tuple[str, str]] = []


def take_back(step: StepHost) -> None:
    """The undo goes the same way."""
    seen.append(("undo", step.inputs["instance"]))


@host_step(Role.SOURCE, undo=take_back, on_control=True)
def abort(step: StepHost) -> None:
    """What an abort does is told to the hypervisor about the instance; its target is the migration."""
    seen.append((step.target_id, step.inputs["instance"]))


@host_step(Role.SOURCE, no_undo="it changes nothing")
def look(step: StepHost) -> None:
    """A step of the main process, on the same host."""
    seen.append(("look", step.inputs["instance"]))


class AbortMove(Operation):
    """An action on a migration: it has a turn, a journal and a slot of its own."""

    name = action = "abort_move"
    steps = (abort, look)

    def hosts(self, role: Role, context: StepContext) -> tuple[str, ...]:
        return ("h1",)

    def inputs(self, context: StepContext) -> dict[str, Any]:
        return {"instance": context.parameters["instance"], "for": context.host}


@pytest.fixture
def world(box: CloudInABox, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(operations(), "abort_move", AbortMove())
    seen.clear()
    for executor in box.executors.values():
        executor.steps |= {"abort": abort, "look": look}
    return World(box)


def start_abort(world: World, parent: Action) -> Action:
    """An abort of a migration that `parent` is at work on."""
    (action,) = start_actions(
        operation="abort_move",
        target_type="migration",
        targets=[uuid.uuid4()],
        parent=parent,
        project_id="p",
        user_id="u",
        parameters={"instance": str(world.instance_id)},
    )
    return action


def test_a_step_for_the_control_process_goes_to_its_queue_and_no_other_step_does(world: World) -> None:
    parent = world.boot()
    action = start_abort(world, parent)
    queues: dict[str, str] = {}

    def note(message: Message) -> bool:
        if message.task.startswith("hypervisor."):
            queues.setdefault(message.task, message.queue)
        return True

    while world.box.step(on=note) is not None:
        pass
    action.refresh_from_db()
    assert action.state == ActionState.SUCCEEDED
    assert queues["hypervisor.abort"] == reports.control_queue_of("h1")
    assert queues["hypervisor.look"] == reports.queue_of("h1")
    assert seen == [(str(action.target_id), str(world.instance_id)), ("look", str(world.instance_id))]


def test_it_does_not_wait_for_the_slot_of_the_instance_that_it_is_about(world: World) -> None:
    parent = world.boot()
    action = start_abort(world, parent)
    assert parent.is_live
    world.box.run()
    action.refresh_from_db()
    assert (action.state, action.parent) == (ActionState.SUCCEEDED, parent)
    parent.refresh_from_db()
    world.assert_succeeded(parent)


def test_its_undo_goes_to_the_control_process_too(world: World) -> None:
    action = start_abort(world, world.boot())
    broken = dataclasses.replace(look, do=lambda step: step.inputs["missing"])
    world.box.executors["h1"].steps["look"] = broken
    world.box.recover()
    action.refresh_from_db()
    assert action.state == ActionState.FAILED
    undone = [m for m in world.box.delivered if m.task == "hypervisor.take_back"]
    assert {message.queue for message in undone} == {reports.control_queue_of("h1")}


def test_a_leg_is_made_knowing_its_host(world: World) -> None:
    start_abort(world, world.boot())
    world.box.run()
    legs = [message.args[0] for message in world.box.delivered if message.task == "hypervisor.look"]
    assert [leg["inputs"]["for"] for leg in legs] == ["h1"]


# --- cancel -----------------------------------------------------------------------------------------------------------


def test_a_cancel_stops_a_step_at_work_that_may_be_stopped(world: World) -> None:
    """It does not wait for the end of a long download."""
    action = world.boot()
    world.box.step()
    host = world.instance().host
    executor = world.box.executors[host]
    at_work, results = threading.Event(), []
    executor.driver.faults.plan("images.fetch", delay=60, count=1)  # type: ignore[attr-defined]
    executor.fault_points = lambda point, order: (
        at_work.set() if (point, order["name"]) == ("before_effect", "fetch_image") else None
    )
    message = world.box.take(reports.queue_of(host))
    assert message is not None
    carrier = threading.Thread(target=lambda: results.append(executor.carry(*message.args)))
    carrier.start()
    assert at_work.wait(10)
    assert cancel(action.pk)
    world.box.recover()
    carrier.join(timeout=10)
    assert results == [None]  # superseded: nobody hears of it
    world.assert_undone(action, ActionState.CANCELLED)


def test_a_cancel_leaves_a_step_that_may_not_be_stopped_to_answer(world: World) -> None:
    action = world.boot()
    world.box.step()
    world.box.step()  # fetch_image, which may be stopped, is over
    ActionEvent.objects.filter(action=action, name="fetch_image").update(
        state=EventState.BEGUN, progress={"is_past": True}
    )
    ActionEvent.objects.filter(action=action, name="create_disk").update(
        state=EventState.BEGUN, progress={"is_past": False}
    )
    before = Action.objects.get(pk=action.pk).turn
    assert cancel(action.pk)
    assert Action.objects.get(pk=action.pk).turn == before


# --- what undos returned ----------------------------------------------------------------------------------------------


def test_an_operation_sees_what_its_undos_returned(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(AbortMove, "failed", lambda self, context, fault: told.append(context.undone))
    start_abort(world, world.boot())
    executor = world.box.executors["h1"]
    executor.steps["abort"] = dataclasses.replace(abort, undo=lambda step: {"power_state": 4})
    executor.steps["look"] = dataclasses.replace(look, do=lambda step: step.inputs["missing"])
    world.box.recover()
    assert told == [{"abort": {"power_state": 4}}]
    assert ActionEvent.objects.filter(name="abort", verb=Verb.UNDO, state=EventState.DONE).exists()
