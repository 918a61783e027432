"""Rule R5: before the point of no return a failure goes back, after it forward; in doubt its host is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from cloud.errors import Abort, Retry
from cloud.workflow import sweeps
from cloud.workflow.models import Action, ActionEvent, Host
from cloud.workflow.operation import PIVOT, Operation, StepContext, operations
from cloud.workflow.runner import cancel, take_over
from cloud.workflow.services import confirm_fenced, start_actions
from cloud.workflow.states import ActionState, EventState, Verb
from hypervisor import reports
from hypervisor.steps import Role, StepHost
from hypervisor.steps.declare import host_step
from tests.operations.cloud_in_a_box import CloudInABox, Killed, Message
from tests.operations.scenarios import World

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Place:
    """Where the one guest of these tests is, and what becomes of the next calls."""

    host: str = "h1"
    prepared: bool = False
    cleaned: bool = False
    calls: list[str] = field(default_factory=list)
    errors: dict[str, list[Exception]] = field(default_factory=dict)

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


@pytest.fixture
def world(box: CloudInABox, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(operations(), "move", Move())
    monkeypatch.setattr(__name__ + ".place", Place())
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
    sweeps.publish_unpublished()  # it waits no longer
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
    assert action.state == ActionState.RUNNING
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
