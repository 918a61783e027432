"""Rules of the engine that the other suites would not miss: each test fails when its rule is switched off."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection

from cloud.errors import Abort
from cloud.workflow import sweeps
from cloud.workflow.models import Action, ActionEvent
from cloud.workflow.operation import Operation, StepContext, operations
from cloud.workflow.runner import advance, cancel, take_over
from cloud.workflow.services import start_actions
from cloud.workflow.states import ActionState, EventState, Verb
from cloud.workflow.turn import Turn
from hypervisor.steps import Role, StepHost
from hypervisor.steps.declare import host_step
from instances import services
from tests.operations.cloud_in_a_box import CloudInABox, Killed
from tests.operations.scenarios import World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(box: CloudInABox) -> World:
    return World(box)


def first_report(world: World) -> dict[str, Any]:
    """The message that begins a boot, taken from its queue."""
    world.boot()
    message = world.box.take("scheduler")
    assert message is not None
    return message.args[0]


def test_a_take_over_of_a_turn_that_has_passed_changes_nothing(world: World) -> None:
    """Rule R1."""
    action = world.boot()
    world.box.step()
    assert not take_over(action.pk, 1, "too late", spends_attempt=True)
    assert Action.objects.get(pk=action.pk).turn == 2
    assert take_over(action.pk, 2, "in time", spends_attempt=True)


def test_of_two_conductors_with_one_message_one_carries_the_action_on(world: World) -> None:
    """Rules R1 and R2, on two connections at once."""
    report, outcomes = first_report(world), []

    def carry_on() -> None:
        try:
            outcomes.append(advance(report))
        finally:
            connection.close()

    conductors = [threading.Thread(target=carry_on) for _ in range(2)]
    for conductor in conductors:
        conductor.start()
    for conductor in conductors:
        conductor.join(timeout=60)
    assert sorted(outcomes) == [False, True]
    assert Action.objects.get(target_id=world.instance_id).turn == 2


def test_nothing_is_published_before_the_commit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule R2."""
    save = Turn.save

    def die(turn: Turn) -> None:
        save(turn)
        raise Killed("before the commit")

    monkeypatch.setattr(Turn, "save", die)
    world.boot()
    with pytest.raises(Killed):
        world.box.step()
    assert world.box.step() is None


def test_a_host_that_fell_silent_at_work_costs_a_turn_and_an_attempt(world: World) -> None:
    """Rule R9."""
    action = world.boot()
    world.box.step()
    host = world.instance().host

    def die(point: str, order: dict[str, Any]) -> None:
        if point == "before_effect":
            world.box.renew(host)
            raise Killed("at work")

    world.box.executors[host].fault_points = die
    with pytest.raises(Killed):
        world.box.step()
    world.box.restart_workers()
    world.box.expire()
    sweeps.repair_silent_legs()
    action.refresh_from_db()
    assert (action.turn, action.attempts) == (3, 1)
    world.box.recover()
    world.assert_succeeded(action)


def test_a_protocol_of_tomorrow_is_dropped_and_that_of_yesterday_read(world: World) -> None:
    """Rule R12."""
    report = first_report(world)
    assert not advance({**report, "protocol": report["protocol"] + 1})
    assert advance({**report, "protocol": report["protocol"] - 1})


@pytest.mark.parametrize(("operation", "verb"), [("boot", "do"), ("boot", "undo"), ("delete", "do")])
def test_a_host_that_is_ahead_of_a_restored_database_is_caught_up_with(world: World, operation: str, verb: str) -> None:
    """Rule R11: forward and on the way back, in every operation."""
    if operation == "delete":
        world.booted()
        action = world.delete()
    else:
        action = world.boot()
    world.box.step()
    if (operation, verb) == ("boot", "undo"):
        assert cancel(action.pk)
    for executor in world.box.executors.values():
        executor.journal.of(str(world.instance_id)).raise_turn(70)
    world.box.recover()
    action.refresh_from_db()
    assert action.turn > 70
    if (operation, verb) == ("boot", "undo"):
        world.assert_undone(action, ActionState.CANCELLED)
    else:
        world.assert_succeeded(action)


# --- several hosts (rule R4) ------------------------------------------------------------------------------------------


@host_step(Role.SOURCE, undo=lambda step: None)
def send(step: StepHost) -> None:
    """Does nothing."""


@host_step(Role.DESTINATION, undo=lambda step: None)
def receive(step: StepHost) -> None:
    """Fails."""
    raise Abort("broken on purpose")


class TwoHosts(Operation):
    """A step on one host, then one on the other."""

    name = action = "two_hosts"
    steps = (send, receive)

    def hosts(self, role: Role, context: StepContext) -> tuple[str, ...]:
        return ("h1",) if role == Role.SOURCE else ("h2",)


def turns(action: Action, verb: Verb) -> dict[str, int]:
    """The turn in which each host carried out `verb` first."""
    done = ActionEvent.objects.filter(action=action, verb=verb, state=EventState.DONE).order_by("-turn")
    return {event.host: event.turn for event in done}


def test_every_host_is_fenced_before_any_of_them_undoes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(operations(), "two_hosts", TwoHosts())
    for executor in world.box.executors.values():
        executor.steps |= {"send": send, "receive": receive}
    world.booted()
    (action,) = start_actions(
        operation="two_hosts", targets=[world.instance().pk], project_id="p", user_id="u", parameters={}
    )
    world.box.recover()
    action.refresh_from_db()
    assert action.state == ActionState.FAILED
    fenced, undone = turns(action, Verb.FENCE), turns(action, Verb.UNDO)
    assert set(fenced) == set(undone) == {"h1", "h2"}
    assert max(fenced.values()) < min(undone.values())


def test_a_delete_fences_every_host_before_it_removes_from_any(world: World) -> None:
    world.booted()
    deletion = world.delete()
    deletion.parameters["hosts"] = ["h1", "h2"]
    deletion.save()
    world.box.recover()
    world.assert_deleted(deletion)
    fenced, removed = turns(deletion, Verb.FENCE), turns(deletion, Verb.DO)
    assert set(fenced) == {"h1", "h2"}
    assert max(fenced.values()) < min(turn for host, turn in removed.items() if host)


def test_a_step_that_cannot_see_its_effect_is_not_done_again_when_its_result_was_lost(world: World) -> None:
    """Rule R10: its worker died with the result in the journal, and the next turn has another token."""
    world.booted()
    action = world.begin(services.trigger_crash_dump)
    host = world.instance().host

    def die(point: str, order: dict[str, Any]) -> None:
        if point == "after_record":
            raise Killed("its result is written, and not reported")

    world.box.executors[host].fault_points = die
    world.box.step()
    with pytest.raises(Killed):
        world.box.step()
    world.box.restart_workers()
    world.box.recover()
    world.assert_succeeded(action)
    note = world.box.executors[host].driver.lifecycle.note(str(world.instance_id))  # type: ignore[attr-defined]
    assert note["interrupts"] == 1
