"""Bugs of the engine: actions that went round in circles, were STUCK for nothing, or that no sweep picked up."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from itertools import takewhile
from typing import Any

import pytest
from django.core.cache import cache
from django.db import IntegrityError, OperationalError
from django.utils import timezone

from cloud.errors import Abort, Reschedule, Retry
from cloud.workflow import legs, queries, services, sweeps
from cloud.workflow.models import Action, ActionEvent, Host, HostQuery, Service
from cloud.workflow.operation import ConductorStep, operation, operations
from cloud.workflow.states import ActionState, EventState, Verb
from instances.operations.boot import Boot
from instances.services import delete_instance, stop_instance
from scheduling.models import ComputeNode
from tests.operations.cloud_in_a_box import CloudInABox
from tests.operations.conftest import box  # noqa: F401
from tests.operations.scenarios import SCENARIOS, World
from tests.operations.test_every_operation import break_step

pytestmark = pytest.mark.django_db(transaction=True)

# The conductor's steps before the first leg: all of them begin again in one turn.
RESCHEDULING = [
    (name, step.name)
    for name, verb in sorted(operations().items())
    for step in takewhile(lambda step: isinstance(step, ConductorStep), verb.sequence)
    if verb.max_attempts > 1
]


@pytest.fixture
def world(box: CloudInABox) -> World:  # noqa: F811
    return World(box)


def break_undo(world: World, step_name: str, times: int) -> None:
    """Makes the undo of a host step fail so many times."""
    left = [Abort("not undone")] * times
    for executor in world.box.executors.values():
        step = executor.steps[step_name]
        undo = step.undo
        assert undo is not None

        def failing(host: Any, undo: Any = undo) -> Any:
            if left:
                raise left.pop()
            return undo(host)

        executor.steps[step_name] = dataclasses.replace(step, undo=failing)


@pytest.mark.parametrize(("name", "step"), RESCHEDULING)
def test_a_conductor_step_that_asks_for_another_host_begins_again_in_a_turn_of_its_own(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, step: str
) -> None:
    """Undone and done again in one turn, a step had two records of one key: PostgreSQL refused them both."""
    action = SCENARIOS[name](world)
    break_step(world, monkeypatch, operation(name), step, Reschedule("taken meanwhile"), after=False)
    world.box.recover()
    world.assert_succeeded(action)
    leg = ActionEvent.objects.filter(action=action, verb=Verb.DO).exclude(host="").first()
    assert leg is not None
    for undone in ActionEvent.objects.filter(action=action, verb=Verb.UNDO):
        again = ActionEvent.objects.get(action=action, seq=undone.seq, verb=Verb.DO, turn__gt=undone.turn)
        assert (again.state, again.turn) == (EventState.DONE, leg.turn)


def test_an_action_whose_message_cannot_be_made_ends_and_keeps_no_other_from_its_turn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error came out of `advance` and of the sweep: the action was never ended, nor anything behind it in line."""
    action = world.boot()
    broken = world.instance_id
    inputs = Boot.inputs

    def failing(verb: Boot, context: Any) -> dict[str, Any]:
        if context.target_id == broken:
            raise LookupError("its image is gone")
        return inputs(verb, context)

    monkeypatch.setattr(Boot, "inputs", failing)
    other = world.tenant.boot()
    world.box.recover()
    world.assert_undone(action, ActionState.FAILED)
    assert "its image is gone" in world.fault_message()
    assert Action.objects.get(target_id=other.pk).state == ActionState.SUCCEEDED


def test_an_operation_that_cannot_even_note_its_end_is_stuck(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> None:
        raise LookupError("broken")

    monkeypatch.setattr(Boot, "inputs", failing)
    monkeypatch.setattr(Boot, "failed", failing)
    action = world.boot()
    world.box.recover()
    action.refresh_from_db()
    assert action.state == ActionState.STUCK


def test_a_sweep_goes_on_after_an_action_that_it_cannot_help(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    poison, action = world.boot(), world.boot()
    world.box.drain()
    world.box.expire()
    Action.objects.update(published_at=None)
    monkeypatch.setattr(legs, "publish", _raising_for(poison, legs.publish))
    sweeps.publish_unpublished()
    world.box.run()
    action.refresh_from_db()
    assert action.state == ActionState.SUCCEEDED


def _raising_for(poison: Action, publish: Any) -> Any:
    def failing(actions: list[Action], *rest: Any) -> None:
        if actions[0].pk == poison.pk:
            raise LookupError("broken")
        publish(actions, *rest)

    return failing


def test_a_deadlock_costs_another_try_and_not_the_message(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [OperationalError("deadlock detected")]

    def deadlocked(*_: Any) -> None:
        if left:
            raise left.pop()

    monkeypatch.setattr(Boot, "began", deadlocked)
    action = world.boot()
    world.box.step()
    action.refresh_from_db()
    assert action.state == ActionState.RUNNING


def test_undos_that_were_never_begun_are_not_counted_as_failed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The undo of a disk was STUCK at its first failure, for the guest's undo before it in the leg had failed twice."""
    action = world.boot()
    break_step(world, monkeypatch, operation("boot"), "start_guest", Abort("broken on purpose"), after=True)
    break_undo(world, "start_guest", 2)
    break_undo(world, "create_disk", 2)
    world.box.recover()
    world.assert_undone(action, ActionState.FAILED)


def test_an_undo_that_never_succeeds_is_stuck_after_its_attempts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    action = world.boot()
    break_step(world, monkeypatch, operation("boot"), "start_guest", Abort("broken on purpose"), after=True)
    break_undo(world, "create_disk", 99)
    world.box.recover()
    action.refresh_from_db()
    assert action.state == ActionState.STUCK
    undos = ActionEvent.objects.filter(action=action, name="create_disk", verb=Verb.UNDO, state=EventState.FAILED)
    assert undos.exclude(started_at=None).count() == 3


def test_a_delete_covers_the_hosts_of_an_action_that_is_stuck(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    test_an_undo_that_never_succeeds_is_stuck_after_its_attempts(world, monkeypatch)
    world.box.restart_workers()
    deletion = world.delete(hosts_known=False)
    world.box.recover()
    world.assert_deleted(deletion)


def test_an_action_that_turns_back_at_its_deadline_has_time_for_the_way_back(world: World) -> None:
    """One lost message after the deadline, and the undo was STUCK."""
    action = world.boot()
    world.box.step()
    Action.objects.update(deadline=timezone.now() - timedelta(seconds=1))
    for _ in range(2):  # the boot's leg and the first undo are lost
        world.box.drain()
        world.box.expire()
        sweeps.repair_silent_legs()
    action.refresh_from_db()
    assert action.state == ActionState.UNWINDING
    world.box.recover()
    world.assert_undone(action, ActionState.FAILED)


def test_a_delete_that_no_host_answers_is_stuck_after_its_deadline(world: World) -> None:
    """It was taken over every few seconds for ever."""
    world.booted()
    deletion = world.delete()
    world.box.step()
    Action.objects.filter(pk=deletion.pk).update(deadline=timezone.now() - timedelta(seconds=1))
    for _ in range(5):
        world.box.drain()
        world.box.expire()
        sweeps.repair_silent_legs()
    deletion.refresh_from_db()
    assert deletion.state == ActionState.STUCK


def test_a_host_of_another_generation_is_not_asked_without_pause(world: World) -> None:
    """It refused, was asked again at once, and so on as fast as the queue could."""
    for name in world.box.executors:
        (world.box.configs[name].journal_dir / "generation").write_text("7")
    action = world.boot()
    world.box.run()
    action.refresh_from_db()
    assert (action.state, action.attempts) == (ActionState.RUNNING, 1)
    assert action.not_before is not None
    Host.objects.update(generation=7)
    world.box.recover()
    world.assert_succeeded(action)


def test_a_host_that_stays_in_another_generation_ends_the_action(world: World) -> None:
    for name in world.box.executors:
        (world.box.configs[name].journal_dir / "generation").write_text("7")
    action = world.boot()
    world.box.recover()
    action.refresh_from_db()
    assert action.state == ActionState.STUCK


def test_a_host_whose_retries_are_spent_is_left_for_another(world: World) -> None:
    action = world.boot()
    world.box.step()
    first = world.instance().host
    ComputeNode.objects.exclude(host=first).update(memory_mib=1024)  # weights would choose the first again
    executor = world.box.executors[first]

    def failing(_: Any) -> None:
        raise Retry("not just now")

    executor.steps["create_disk"] = dataclasses.replace(executor.steps["create_disk"], do=failing)
    world.box.recover()
    world.assert_succeeded(action)
    assert world.instance().host != first


def test_a_leg_whose_next_step_waits_in_the_queue_is_not_a_silent_host(world: World) -> None:
    """A long step was renewed; while the next one waited behind others, the leg was taken over and an attempt spent."""
    action = world.boot()
    world.box.step()
    host = world.instance().host

    def renew_at_work(point: str, order: dict[str, Any]) -> None:
        if (point, order["name"]) == ("before_effect", "fetch_image"):
            world.box.renew(host)

    world.box.executors[host].fault_points = renew_at_work
    world.box.step()
    begun = ActionEvent.objects.get(action=action, name="fetch_image")
    assert (begun.state, begun.is_past) == (EventState.BEGUN, False)
    world.box.renew(host)
    begun.refresh_from_db()
    assert begun.is_past
    before = Action.objects.get(pk=action.pk).turn
    world.box.drain()  # it is lost, even
    world.box.expire()
    sweeps.repair_silent_legs()
    action.refresh_from_db()
    assert (action.turn, action.attempts) == (before, 0)
    world.box.run()
    world.assert_succeeded(action)


def test_an_idle_action_with_the_leases_of_older_turns_is_taken_up(world: World) -> None:
    action = world.boot()
    world.box.step()
    world.box.drain()
    world.box.expire()
    ActionEvent.objects.filter(action=action, name="fetch_image").update(lease_until=None)
    ActionEvent.objects.filter(action=action).exclude(name="fetch_image").update(state=EventState.DONE)
    before = Action.objects.get(pk=action.pk).turn
    sweeps.carry_on_idle_actions()
    assert Action.objects.get(pk=action.pk).turn > before


def test_a_new_action_has_a_turn_above_one_that_the_last_took_while_it_was_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its turn was read before it held the slot: the action that held it could end in the very turn that was read."""
    last = world.boot()
    world.box.recover()
    create = Action.objects.bulk_create

    def after_another_turn(*args: Any, **kwargs: Any) -> Any:
        Action.objects.filter(pk=last.pk).update(turn=20)
        return create(*args, **kwargs)

    monkeypatch.setattr(Action.objects, "bulk_create", after_another_turn)
    (action,) = services.start_actions(
        operation="boot", targets=[last.target_id], project_id="p", user_id="u", parameters={}
    )
    action.refresh_from_db()
    assert action.turn == 21


def test_a_delete_wins_over_an_action_that_began_a_moment_earlier(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its slot was taken between the look and the write: the delete was refused with a conflict."""
    world.booted()
    supersede, left = services._supersede, [IntegrityError("one_live_action_per_target")]

    def overtaken(*args: Any) -> Action:
        if left:
            services.start_actions(operation="boot", targets=[args[1]], project_id="p", user_id="u", parameters={})
            raise left.pop()
        return supersede(*args)

    monkeypatch.setattr(services, "_supersede", overtaken)
    deletion = world.delete()
    world.box.recover()
    world.assert_deleted(deletion)


def test_a_request_that_was_committed_is_accepted_whatever_publishing_comes_to(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any) -> None:
        raise OperationalError("database is locked")

    with monkeypatch.context() as patched:
        patched.setattr(legs, "publish", failing)
        action = world.boot()
    world.box.recover()
    world.assert_succeeded(action)


def test_a_host_that_was_forced_down_stays_down_however_it_beats(world: World) -> None:
    """Its beats brought it up until the next sweep: an evacuation would have met its host alive."""
    Service.objects.filter(host="h1").update(is_forced_down=True)
    sweeps.mark_hosts_down()
    assert not Host.objects.get(name="h1").is_up
    world.box.beat("h1")
    assert not Host.objects.get(name="h1").is_up
    Service.objects.filter(host="h1").update(is_forced_down=False)
    world.box.beat("h1")
    assert Host.objects.get(name="h1").is_up


def test_old_actions_are_forgotten_even_behind_many_that_stay(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last actions of targets, which stay, filled every batch."""
    monkeypatch.setattr(sweeps, "_BATCH", 2)
    kept = [world.boot() for _ in range(3)]
    gone = world.boot()
    world.box.recover()
    delete_instance(caller=world.tenant.caller, instance=world.instance())
    world.box.recover()
    old = timezone.now() - timedelta(days=400)
    Action.objects.update(finished_at=old)
    Action.objects.filter(target_id=gone.target_id).update(finished_at=old + timedelta(days=1))
    cache.clear()
    sweeps.forget_old_rows()
    assert set(Action.objects.values_list("pk", flat=True)) == {action.pk for action in kept}


def test_what_a_host_answers_instead_of_an_answer_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal's own words were given twice to the error, which was a 500."""

    def refuse(*_: Any, **__: Any) -> None:
        said = {"code": "guest.not_found", "message": "h1 knows no such guest"}
        HostQuery.objects.update(error=said, answered_at=timezone.now())

    monkeypatch.setattr(queries.app, "send_task", refuse)
    with pytest.raises(queries.HostRefused, match="h1 knows no such guest"):
        queries.ask("h1", "console_output", {})
    assert not HostQuery.objects.exists()


def test_a_host_that_was_down_when_a_verb_failed_is_believed_again_when_it_is_back(world: World) -> None:
    """The step that it was never given counted as the last one that it was: nothing that it saw of the guest was ever
    of now, and after a power loss nobody brought the guest back."""
    world.booted()
    name = world.instance().host
    world.box.beat(name)
    stop = world.begin(stop_instance)
    world.lose_power()
    world.box.power_off(name)
    world.box.recover()
    stop.refresh_from_db()
    assert stop.state == ActionState.FAILED
    world.box.power_on(name)
    world.box.recover()
    again = Action.objects.get(target_id=world.instance_id, operation="power_on_again")
    world.assert_succeeded(again)
