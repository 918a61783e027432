"""Rule R5: before the point of no return a failure goes back, after it forward; in doubt its host is asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from cloud.errors import Abort, Retry
from cloud.workflow.models import Action, ActionEvent, Host
from cloud.workflow.operation import PIVOT, Operation
from cloud.workflow.states import ActionState
from tests.operations.cloud_in_a_box import CloudInABox, Killed
from tests.operations.moving import (
    Move,
    assert_moved,
    assert_unmoved,
    at_the_pivot,
    begun,
    clean,
    ended,
    has_moved,
    move,
    moving_world,
    place,
    prepare,
    silent,
)
from tests.operations.scenarios import World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(box: CloudInABox, monkeypatch: pytest.MonkeyPatch) -> World:
    return moving_world(box, monkeypatch)


def test_it_moves(world: World) -> None:
    assert_moved(world, begun(world))
    assert place.calls == ["prepare", "move", "clean"]


def test_an_operation_whose_pivot_cannot_be_asked_is_refused() -> None:
    with pytest.raises(TypeError, match="needs an `ask`"):

        class Unaskable(Operation):
            name = action = "unaskable"
            steps = (prepare, PIVOT, clean)


# --- a pivot that nobody answered -------------------------------------------------------------------------------------


def test_a_pivot_that_was_not_answered_is_asked_about_and_has_moved(world: World) -> None:
    action, message = at_the_pivot(world)
    world.box.executors["h1"].carry(*message.args)  # its answer is lost
    silent(action)
    assert_moved(world, action)
    assert place.calls.count("ask") == 1


def test_a_pivot_that_was_not_answered_is_asked_about_and_has_not_moved(world: World) -> None:
    action, message = at_the_pivot(world)
    silent(action)
    assert_unmoved(world, action)
    assert "move" not in place.calls
    result = world.box.executors["h1"].carry(*message.args)  # late: the question was a fence
    assert result is not None
    assert result["status"] == "behind"


@pytest.mark.parametrize("moves", [True, False])
def test_a_worker_that_dies_at_the_pivot_is_asked_when_it_is_back(world: World, moves: bool) -> None:
    action, message = at_the_pivot(world)

    def die(point: str, order: dict[str, Any]) -> None:
        if point == ("before_record" if moves else "before_effect"):
            raise Killed(point)

    world.box.executors["h1"].fault_points = die
    with pytest.raises(Killed):
        world.box.executors["h1"].carry(*message.args)
    world.box.restart_workers()
    assert action.turn < Action.objects.get(pk=action.pk).turn  # at once
    (assert_moved if moves else assert_unmoved)(world, action)


@pytest.mark.parametrize("moves", [True, False])
def test_a_pivot_that_answers_that_it_failed_is_asked_about_all_the_same(world: World, moves: bool) -> None:
    action = begun(world)
    place.errors["move"] = [Abort("broken on purpose")]
    if moves:
        place.host = "h2"
    (assert_moved if moves else assert_unmoved)(world, action)
    assert place.calls.count("move") == 1


def test_a_pivot_that_may_be_retried_is(world: World) -> None:
    action = begun(world)
    place.errors["move"] = [Retry("not just now")]
    assert_moved(world, action)


def test_before_the_pivot_a_failure_goes_back_without_asking(world: World) -> None:
    action = begun(world)
    place.errors["prepare"] = [Abort("broken on purpose")]
    assert_unmoved(world, action)
    assert "ask" not in place.calls


def test_the_pivot_is_not_given_while_the_step_before_it_may_fail(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a failure there would leave a pivot in doubt."""
    monkeypatch.setattr(Move, "sequence", (clean, move, clean))  # all of one host
    begun(world)
    world.box.step()
    assert ActionEvent.objects.filter(name="clean").exists()
    assert not ActionEvent.objects.filter(name="move").exists()


def test_after_the_pivot_steps_are_tried_until_they_succeed(world: World) -> None:
    action = begun(world)
    place.errors["clean"] = [Abort("broken on purpose") for _ in range(5)]
    assert_moved(world, action)


def test_after_the_pivot_the_deadline_makes_it_stuck_and_nothing_is_undone(world: World) -> None:
    action = begun(world)
    place.errors["clean"] = [Abort("broken on purpose") for _ in range(99)]
    Action.objects.filter(pk=action.pk).update(deadline=timezone.now() - timedelta(seconds=1))
    assert ended(world, action) == ActionState.STUCK
    assert (place.host, "drop_prepared" in place.calls) == ("h2", False)


# --- asking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moves", [True, False])
def test_a_question_that_fails_is_asked_again(world: World, moves: bool) -> None:
    action, message = at_the_pivot(world)
    if moves:
        world.box.executors["h1"].carry(*message.args)
    place.errors["ask"] = [Abort("libvirt is away") for _ in range(4)]
    silent(action)
    world.box.run()
    assert place.calls.count("ask") == 1  # it waits in between
    (assert_moved if moves else assert_unmoved)(world, action)
    assert place.calls.count("ask") == 5


def test_a_question_that_is_answered_without_an_answer_is_asked_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    action, message = at_the_pivot(world)
    world.box.executors["h1"].carry(*message.args)
    answers = [{"moved": None}, {}]
    object.__setattr__(move, "ask", lambda step: answers.pop() if answers else has_moved(step))
    try:
        silent(action)
        assert_moved(world, action)
    finally:
        object.__setattr__(move, "ask", has_moved)


def test_a_take_over_while_asking_asks_again(world: World) -> None:
    action, message = at_the_pivot(world)
    world.box.executors["h1"].carry(*message.args)
    for _ in range(5):  # more often than there are attempts
        silent(action)
        world.box.drain()
    action.refresh_from_db()
    assert (action.state, action.asking) == (ActionState.RUNNING, True)
    assert_moved(world, action)


def test_a_question_that_is_never_answered_is_stuck_past_the_deadline(world: World) -> None:
    action, _ = at_the_pivot(world)
    silent(action)
    Action.objects.filter(pk=action.pk).update(deadline=timezone.now() - timedelta(seconds=1))
    world.box.drain()
    silent(action)
    action.refresh_from_db()
    assert action.state == ActionState.STUCK
    assert "drop_prepared" not in place.calls


def test_a_question_that_the_host_refuses_as_another_generation_waits_for_it(world: World) -> None:
    action, message = at_the_pivot(world)
    world.box.executors["h1"].carry(*message.args)
    Host.objects.filter(name="h1").update(generation=40)
    silent(action)
    world.box.run()
    action.refresh_from_db()
    assert (action.state, action.asking) == (ActionState.RUNNING, True)
    assert action.not_before is not None
    world.box.beat("h1")
    assert_moved(world, action)
