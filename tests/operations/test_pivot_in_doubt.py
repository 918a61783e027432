"""Rule R5 when the host that could answer is down, and when the action is cancelled or deleted meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from cloud.workflow import sweeps
from cloud.workflow.models import Action, ActionEvent, Host
from cloud.workflow.runner import cancel
from cloud.workflow.services import confirm_fenced
from cloud.workflow.states import ActionState, EventState, Verb
from tests.operations.cloud_in_a_box import CloudInABox
from tests.operations.moving import (
    Move,
    assert_moved,
    assert_unmoved,
    at_the_pivot,
    ended,
    moving_world,
    place,
    silent,
)
from tests.operations.scenarios import World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(box: CloudInABox, monkeypatch: pytest.MonkeyPatch) -> World:
    return moving_world(box, monkeypatch)


# --- the host is down -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moves", [True, False])
def test_nobody_guesses_while_the_host_that_knows_is_down(world: World, moves: bool) -> None:
    action, message = at_the_pivot(world)
    if moves:
        world.box.executors["h1"].carry(*message.args)
    world.box.power_off("h1")
    for _ in range(10):
        world.box.run()
        world.box.expire()
        sweeps.repair_silent_legs()
        sweeps.publish_unpublished()
    action.refresh_from_db()
    assert (action.state, action.asking) == (ActionState.RUNNING, True)
    assert "drop_prepared" not in place.calls
    Action.objects.filter(pk=action.pk).update(not_before=timezone.now() + timedelta(minutes=1))
    world.box.power_on("h1")
    sweeps.publish_unpublished()
    assert Action.objects.get(pk=action.pk).turn > action.turn  # it waits no longer
    (assert_moved if moves else assert_unmoved)(world, action)


def test_a_host_that_goes_down_while_it_is_asked_is_waited_for(world: World) -> None:
    action, message = at_the_pivot(world)
    world.box.executors["h1"].carry(*message.args)
    silent(action)
    world.box.power_off("h1")
    world.box.expire()
    sweeps.repair_silent_legs()
    action.refresh_from_db()
    assert (action.state, action.asking) == (ActionState.RUNNING, True)
    world.box.power_on("h1")
    assert_moved(world, action)


def test_a_host_that_never_comes_back_makes_it_stuck_past_the_deadline(world: World) -> None:
    action, _ = at_the_pivot(world)
    world.box.power_off("h1")
    world.box.expire()
    sweeps.repair_silent_legs()
    Action.objects.filter(pk=action.pk).update(deadline=timezone.now() - timedelta(seconds=1))
    assert ended(world, action) == ActionState.STUCK
    assert "drop_prepared" not in place.calls
    assert (action.fault or {})["host"] == "h1"


@pytest.mark.parametrize("fenced", [True, False])
def test_a_host_that_is_confirmed_off_ends_the_doubt_where_the_operation_knows_how(
    world: World, monkeypatch: pytest.MonkeyPatch, fenced: bool
) -> None:
    monkeypatch.setattr(Move, "fenced", fenced)
    monkeypatch.setattr(Move, "sequence", Move.sequence[:2])  # the source has nothing to do afterwards
    action, message = at_the_pivot(world)
    if fenced:
        world.box.executors["h1"].carry(*message.args)
    world.box.power_off("h1")
    world.box.expire()
    sweeps.repair_silent_legs()
    confirm_fenced(Host.objects.get(name="h1"))
    sweeps.publish_unpublished()
    world.box.run()
    assert ended(world, action) == (ActionState.SUCCEEDED if fenced else ActionState.FAILED)
    assert place.host == ("h2" if fenced else "h1")


def test_past_the_pivot_a_host_that_is_down_is_waited_for(world: World) -> None:
    action, message = at_the_pivot(world)
    world.box.deliver(message)
    world.box.drain()
    world.box.power_off("h1")
    silent(action)
    world.box.run()
    action.refresh_from_db()
    assert (action.state, action.leg) == (ActionState.RUNNING, None)
    assert action.not_before is not None
    world.box.power_on("h1")
    assert_moved(world, action)


# --- cancel and delete ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moves", [True, False])
def test_a_cancel_during_the_pivot_undoes_only_what_has_not_moved(world: World, moves: bool) -> None:
    action, message = at_the_pivot(world)
    if moves:
        world.box.executors["h1"].carry(*message.args)
    assert cancel(action.pk)
    silent(action)
    if moves:
        assert_moved(world, action)
    else:
        assert_unmoved(world, action, ActionState.CANCELLED)


def test_a_cancel_while_the_pivot_is_at_work_comes_too_late(world: World) -> None:
    action, message = at_the_pivot(world)
    assert cancel(action.pk)
    world.box.deliver(message)
    assert_moved(world, action)


def test_a_delete_over_an_unanswered_pivot_fences_both_hosts_and_clears_them(world: World) -> None:
    action, message = at_the_pivot(world)
    deletion = world.delete()
    world.box.recover()
    world.assert_deleted(deletion)
    action.refresh_from_db()
    assert action.state == ActionState.CANCELLED
    done = ActionEvent.objects.filter(action=deletion, state=EventState.DONE).exclude(host="")
    assert {e.host for e in done.filter(verb=Verb.FENCE)} == {"h1", "h2"}
    result = world.box.executors["h1"].carry(*message.args)
    assert result is not None
    assert result["status"] == "behind"
    assert place.host == "h1"


def test_a_delete_over_an_unanswered_pivot_whose_host_is_down_ends(world: World) -> None:
    _, message = at_the_pivot(world)
    world.box.power_off("h1")
    deletion = world.delete()
    world.box.recover()
    deletion.refresh_from_db()
    assert deletion.state == ActionState.SUCCEEDED
    world.box.power_on("h1")
    world.assert_deleted(deletion)
    assert world.box.executors["h1"].carry(*message.args)["status"] == "refused"  # type: ignore[index]


# --- who else may know ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moves", [True, False])
def test_a_witness_that_saw_it_ends_the_doubt_and_one_that_did_not_does_not(
    world: World, monkeypatch: pytest.MonkeyPatch, moves: bool
) -> None:
    monkeypatch.setattr(Move, "pivot_witnesses", lambda self, context: ("h2",))
    action, message = at_the_pivot(world)
    if moves:
        world.box.executors["h1"].carry(*message.args)  # its answer is lost
    world.box.power_off("h1")
    silent(action)
    world.box.run()
    asked = ActionEvent.objects.get(action=action, verb=Verb.ASK, host="h2")
    assert (asked.state, asked.output) == (EventState.DONE, {"moved": moves})
    action.refresh_from_db()
    assert action.state == ActionState.RUNNING
    assert action.asking != moves
    world.box.power_on("h1")
    if moves:
        assert_moved(world, action)
    else:
        assert_unmoved(world, action)


def test_a_pivot_whose_message_came_back_and_was_refused_is_asked_about_before_anything_is_undone(world: World) -> None:
    """Its worker died when it had moved; the next one refused the order, of a generation before its own. That was taken
    for a move that never began, and a cancel undid the destination with the guest in it."""
    action, message = at_the_pivot(world)
    world.box.executors["h1"].carry(*message.args)  # moved; then the worker dies, and its order comes back
    world.box.start_worker("h1")
    world.box.deliver(message)
    world.box.run()
    assert cancel(action.pk)
    assert world.box.beat("h1")
    assert_moved(world, action)
