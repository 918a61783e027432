"""What a host says of its journal when it begins anew: recovery waits for no lease, and what was begun is counted."""

from __future__ import annotations

from typing import Any

import pytest

from cloud.workflow.models import Action, ActionEvent
from cloud.workflow.states import ActionState, EventState
from hypervisor.journal import Journal
from tests.operations.cloud_in_a_box import CloudInABox, Killed
from tests.operations.scenarios import World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(box: CloudInABox) -> World:
    return World(box)


def kill_at(world: World, host: str, point: str, step: str = "") -> None:
    """The worker of the host dies at the next order that comes to `point`, before any lease was renewed."""

    def die(at: str, order: dict[str, Any]) -> None:
        if at == point and step in ("", order["name"]):
            raise Killed(point)

    world.box.executors[host].fault_points = die
    with pytest.raises(Killed):
        world.box.run()


def test_a_step_that_was_begun_and_never_renewed_costs_an_attempt(world: World) -> None:
    """Only the host's journal knows that it was begun."""
    action = world.boot()
    world.box.step()
    host = world.instance().host
    kill_at(world, host, "before_effect")
    assert not ActionEvent.objects.filter(action=action, state=EventState.BEGUN).exists()
    world.box.restart_workers()
    action.refresh_from_db()
    assert action.attempts == 1
    world.box.run()  # no lease runs out, no sweep
    world.assert_succeeded(action)


def test_a_step_that_kills_its_worker_each_time_is_undone_when_its_attempts_are_spent(world: World) -> None:
    """It was given again until the deadline."""
    action = world.boot()
    world.box.step()
    first = world.instance().host
    for _ in range(3):
        assert world.instance().host == first
        kill_at(world, first, "before_effect", "create_disk")
        world.box.restart_workers()
    world.box.recover()
    action.refresh_from_db()
    assert action.state == ActionState.FAILED
    assert world.box.leftovers(world.instance_id) == []


def test_a_step_that_was_finished_costs_no_attempt(world: World) -> None:
    action = world.boot()
    world.box.step()
    kill_at(world, world.instance().host, "after_record", "create_disk")
    world.box.restart_workers()
    action.refresh_from_db()
    assert action.attempts == 0
    world.box.run()
    world.assert_succeeded(action)


@pytest.mark.parametrize("said", [None, "x", [None, {}, {"action": "x", "seq": 1, "verb": "do", "turn": 2}], {"a": 1}])
def test_a_host_that_does_not_say_or_says_nonsense_is_recovered_all_the_same(world: World, said: Any) -> None:
    """A host of an older release (rule R12)."""
    action = world.boot()
    world.box.step()
    host = world.instance().host
    kill_at(world, host, "before_effect")
    executor = world.box.start_worker(host)
    executor.journal.interrupted = lambda limit=500: said  # type: ignore[method-assign,assignment]
    assert world.box.beat(host)
    world.box.run()
    world.assert_succeeded(action)


def test_it_speaks_only_for_steps_that_it_was_given(world: World) -> None:
    action = world.boot()
    world.box.step()
    mine = world.instance().host
    other = next(name for name in world.box.executors if name != mine)
    turn = Action.objects.get(pk=action.pk).turn
    executor = world.box.start_worker(other)
    entry = {"action": str(action.pk), "seq": 3, "verb": "do", "turn": turn}
    executor.journal.interrupted = lambda limit=500: [entry]  # type: ignore[method-assign]
    assert world.box.beat(other)
    action.refresh_from_db()
    assert (action.turn, action.attempts) == (turn, 0)
    assert not ActionEvent.objects.filter(action=action, state=EventState.BEGUN).exists()


def test_the_journal_names_what_was_begun_without_a_result_and_nothing_else(tmp_path: Any) -> None:
    journal = Journal(tmp_path)
    for number, target in enumerate(("a", "b", "c")):
        journal.of(target).raise_turn(1)
        order = {"action": f"of {target}", "name": "step", "verb": "do", "seq": number, "turn": 1}
        journal.of(target).begin(f"token {target}", order)
    journal.of("a").finish("token a", {"status": "done"})
    journal.of("b").settled()
    assert journal.interrupted() == [{"action": "of c", "seq": 2, "verb": "do", "turn": 1}]
    journal.of("d").raise_turn(1)
    journal.of("d").begin("token d", {"action": "of d", "name": "step", "verb": "undo", "seq": 3, "turn": 1})
    assert [entry["action"] for entry in journal.interrupted(limit=1)] == ["of d"], "the newest"
