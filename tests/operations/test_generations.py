"""Rule R6: a host that begins anew says hello, takes no work before the answer, and none that was given before."""

from __future__ import annotations

import shutil
import time
from typing import Any

import pytest

from cloud.workflow import sweeps
from cloud.workflow.models import Action, ActionEvent, Host, Service
from cloud.workflow.runner import take_over
from cloud.workflow.states import ActionState, EventState
from hypervisor import reports
from hypervisor.errors import HypervisorFailed
from instances.models import Instance
from tests.operations.cloud_in_a_box import CloudInABox, Killed, Message
from tests.operations.scenarios import World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(box: CloudInABox) -> World:
    return World(box)


def leg_of(world: World) -> tuple[str, Message]:
    """A boot's first leg, taken from the queue of its host and not delivered."""
    world.boot()
    world.box.step()
    host = world.instance().host
    message = world.box.take(reports.queue_of(host))
    assert message is not None
    return host, message


def generation(name: str) -> int:
    return Host.objects.get(name=name).generation


def done_at(host: str) -> list[int]:
    """Generations under which the host did steps."""
    done = ActionEvent.objects.filter(host=host, state=EventState.DONE)
    return sorted(set(done.values_list("generation", flat=True)))


# --- no work before the answer, none from before ----------------------------------------------------------------------


def test_what_was_given_to_a_worker_that_died_is_given_anew_when_the_next_one_says_hello(world: World) -> None:
    """Without waiting for any lease."""
    host, _ = leg_of(world)  # lost with the worker
    before = generation(host)
    world.box.restart_workers()
    world.box.run()
    action = Action.objects.get(target_id=world.instance_id)
    world.assert_succeeded(action)
    assert done_at(host) == [before + 1]
    assert action.attempts == 0


def test_an_order_of_an_older_generation_is_refused(world: World) -> None:
    host, message = leg_of(world)
    Action.objects.update(turn=1)  # nobody takes it over: only the generation is in its way
    world.box.restart_workers()
    leg, order = message.args
    result = world.box.executors[host].carry(leg, order)
    assert result is not None
    assert (result["status"], result["output"]) == ("refused", {"generation": generation(host)})
    assert world.box.leftovers(world.instance_id) == []


def test_a_worker_takes_no_work_before_it_is_welcomed(world: World) -> None:
    host, message = leg_of(world)
    world.box.start_worker(host)
    leg, order = message.args
    refused = world.box.executors[host].carry(leg, order)
    assert refused is not None
    assert refused["status"] == "refused"
    ahead = {**order, "generation": order["generation"] + 1}
    ahead["token"] = reports.sign(world.box.configs[host].key, *reports.token_parts(leg["action"], ahead))
    assert world.box.executors[host].carry(leg, ahead) is None
    assert world.box.leftovers(world.instance_id) == []
    assert world.box.beat(host)
    carried = world.box.executors[host].carry(leg, ahead)
    assert carried is not None
    assert carried["status"] == "done"


def test_no_step_begins_once_its_host_has_left_even_if_it_was_let_in_before(world: World) -> None:
    """It waited for its target's lock meanwhile."""
    host, message = leg_of(world)
    world.box.executors[host].fault_points = lambda point, _: (
        world.box.agents[host].leave() if point == "before_begin" else None  # type: ignore[func-returns-value]
    )
    result = world.box.executors[host].carry(*message.args)
    assert result is not None
    assert result["status"] == "refused"
    assert world.box.leftovers(world.instance_id) == []


def test_a_step_that_was_at_work_when_its_worker_died_costs_an_attempt(world: World) -> None:
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
    action.refresh_from_db()
    assert action.attempts == 1
    world.box.run()
    world.assert_succeeded(action)


# --- hello and its answer ---------------------------------------------------------------------------------------------


def test_the_answer_to_an_earlier_hello_is_passed_over(world: World) -> None:
    agent = world.box.agents["h1"]
    world.box.start_worker("h1")
    world.box.agents["h1"].keep_in_touch()
    late = world.box.take(reports.control_queue_of("h1"))
    assert late is not None
    agent = world.box.agents["h1"]
    world.box.start_worker("h1")
    world.box.deliver(late)
    agent = world.box.agents["h1"]
    agent._said_at, agent._patience = time.monotonic(), 60.0  # it waits
    agent.keep_in_touch()
    assert agent.is_waiting
    assert world.box.beat("h1")


def test_a_hello_that_is_said_again_is_answered_alike(world: World) -> None:
    before = generation("h1")
    world.box.start_worker("h1")
    agent = world.box.agents["h1"]
    agent._patience = 0.0
    agent.keep_in_touch()
    lost = world.box.take(reports.control_queue_of("h1"))
    agent._patience = 0.0
    agent.keep_in_touch()
    again = world.box.take(reports.control_queue_of("h1"))
    assert lost is not None
    assert again is not None
    assert lost.args == again.args
    assert generation("h1") == before + 1


def test_an_answer_that_no_conductor_signed_is_dropped(world: World) -> None:
    world.box.start_worker("h1")
    world.box.agents["h1"].keep_in_touch()
    answer = world.box.take(reports.control_queue_of("h1"))
    assert answer is not None
    answer.args[0]["generation"] = 99
    world.box.deliver(answer)
    world.box.agents["h1"].keep_in_touch()
    assert world.box.agents["h1"].is_waiting


def test_a_host_without_its_journal_has_a_new_generation(world: World) -> None:
    host, message = leg_of(world)
    Action.objects.update(turn=1)
    shutil.rmtree(world.box.configs[host].journal_dir)
    world.box.restart_workers()
    result = world.box.executors[host].carry(*message.args)
    assert result is not None
    assert result["status"] == "refused"
    assert world.box.leftovers(world.instance_id) == []


def test_a_welcomed_host_has_seen_the_turns_of_its_guests_though_its_journal_is_lost(world: World) -> None:
    world.booted()
    instance = world.instance()
    action = Action.objects.get(target_id=instance.pk)
    shutil.rmtree(world.box.configs[instance.host].journal_dir)
    world.box.restart_workers()
    assert world.box.executors[instance.host].journal.of(str(instance.pk)).highest() == action.turn


def test_a_database_that_is_behind_its_hosts_gives_generations_above_theirs(world: World) -> None:
    world.box.restart_workers()
    theirs = generation("h1")
    Host.objects.update(generation=1)
    assert world.box.beat("h1")
    assert world.box.beat("h2")
    assert generation("h1") == theirs + 1
    world.booted()


# --- marked down, cut off ---------------------------------------------------------------------------------------------


def silence(name: str) -> None:
    """The conductors heard nothing of the host for too long."""
    Service.objects.filter(host=name).update(last_seen_at=None)
    sweeps.mark_hosts_down()


def test_a_host_that_was_marked_down_comes_up_only_as_a_new_generation(world: World) -> None:
    before = generation("h1")
    silence("h1")
    agent = world.box.agents["h1"]
    agent.beat()  # it does not know yet
    assert not Host.objects.get(name="h1").is_up
    assert Service.objects.get(host="h1").last_seen_at is None
    assert world.box.beat("h1")
    assert (Host.objects.get(name="h1").is_up, generation("h1")) == (True, before + 1)


def test_a_host_is_not_up_before_it_has_entered_its_generation(world: World) -> None:
    silence("h1")
    world.box.start_worker("h1")
    world.box.agents["h1"].keep_in_touch()
    host = Host.objects.get(name="h1")
    assert (host.is_up, bool(host.hello)) == (False, True)
    world.box.beat("h1")
    assert Host.objects.get(name="h1").is_up


def test_a_host_that_nobody_acknowledged_for_too_long_takes_no_work_and_says_hello(world: World) -> None:
    host, message = leg_of(world)
    Action.objects.update(turn=1)
    before = generation(host)
    world.box.executors[host].journal.standing.silent_from = time.monotonic() - 1
    result = world.box.executors[host].carry(*message.args)
    assert result is not None
    assert result["status"] == "refused"
    world.box.agents[host].keep_in_touch()
    assert world.box.agents[host].is_waiting
    assert world.box.beat(host)
    assert generation(host) == before + 1


def test_heartbeats_that_are_acknowledged_keep_a_host_in_its_generation(world: World) -> None:
    standing, agent = world.box.executors["h1"].journal.standing, world.box.agents["h1"]
    standing.silent_from = time.monotonic() + 5
    before = generation("h1")
    world.box.beat("h1")
    assert standing.silent_from > time.monotonic() + 30
    assert (agent.is_waiting, generation("h1")) == (False, before)


def test_most_heartbeats_ask_for_no_acknowledgement(world: World) -> None:
    agent = world.box.agents["h1"]
    for _ in range(5):
        agent.keep_in_touch()
    assert not world.box.hear("h1")


# --- guests that are not its own any more -----------------------------------------------------------------------------


def guest_on(world: World, host: str) -> Any:
    return world.box.executors[host].driver.lifecycle.state(str(world.instance_id))


def moved_away(world: World) -> str:
    """A booted instance whose row says that it is elsewhere now; gives the host that it was on."""
    world.booted()
    host = world.instance().host
    other = "h2" if host == "h1" else "h1"
    Instance.objects.update(host=other)
    world.box.power_off(host)
    return host


def test_a_guest_that_is_not_the_hosts_any_more_is_removed_before_any_work(world: World) -> None:
    host = moved_away(world)
    world.box.power_on(host)
    assert guest_on(world, host) is None


def test_a_host_that_cannot_remove_such_a_guest_takes_no_work(world: World) -> None:
    host = moved_away(world)
    world.box.off.discard(host)
    executor = world.box.start_worker(host)
    executor.driver.faults.plan("lifecycle.remove", error="HypervisorFailed", count=1)  # type: ignore[attr-defined]
    with pytest.raises(HypervisorFailed):
        world.box.beat(host)
    assert executor.journal.standing.current() == 0
    assert world.box.beat(host)
    assert guest_on(world, host) is None


def test_a_guest_of_its_own_is_kept(world: World) -> None:
    world.booted()
    host = world.instance().host
    world.box.power_off(host)
    world.box.power_on(host)
    assert guest_on(world, host) is not None


@pytest.mark.parametrize("state", [ActionState.RUNNING, ActionState.STUCK])
def test_a_guest_that_an_action_is_about_is_kept(world: World, state: ActionState) -> None:
    """A migration's destination; and what a person has to decide."""
    host = moved_away(world)
    Action.objects.update(state=state)
    world.box.power_on(host)
    assert guest_on(world, host) is not None


def test_a_guest_that_the_database_does_not_know_is_kept(world: World) -> None:
    """It was restored from before the guest was made."""
    host = moved_away(world)
    Action.objects.all().delete()
    world.box.power_on(host)
    assert guest_on(world, host) is not None


def test_a_step_that_runs_on_a_host_that_was_cut_off_stops_when_its_guest_is_removed(world: World) -> None:
    """It sees a turn above its own."""
    host = moved_away(world)
    given = ActionEvent.objects.filter(host=host).order_by("-turn").values_list("turn", flat=True)[0]
    assert world.box.executors[host].journal.of(str(world.instance_id)).highest() == given
    world.box.power_on(host)
    assert world.box.executors[host].journal.of(str(world.instance_id)).highest() == given + 1


# --- observations (rule R11) ------------------------------------------------------------------------------------------


def test_a_heartbeat_from_before_an_action_says_nothing_of_its_guest(world: World) -> None:
    """It waited in the queue while the guest was started again."""
    world.booted()
    instance = world.instance()
    agent = world.box.agents[instance.host]
    lifecycle: Any = world.box.executors[instance.host].driver.lifecycle
    lifecycle.set_power_state(str(instance.pk), 4, "shutdown")
    agent.look()
    agent.look()
    kept: list[tuple[str, dict[str, Any]]] = []
    agent.send = lambda task, message: kept.append((task, message))
    agent.beat()
    lifecycle.set_power_state(str(instance.pk), 1, "started")
    ActionEvent.objects.filter(action__target_id=instance.pk, host=instance.host).update(turn=50)
    world.box._say(*kept[0])
    assert world.instance().vm_state == "active"


def test_a_take_over_after_hello_does_not_touch_what_went_on_meanwhile(world: World) -> None:
    host, _ = leg_of(world)
    action = Action.objects.get(target_id=world.instance_id)
    assert take_over(action.pk, action.turn, "by a sweep", spends_attempt=False)
    world.box.drain()
    action.refresh_from_db()
    before = action.turn
    ActionEvent.objects.filter(turn=before).update(generation=generation(host) + 1)
    world.box.restart_workers()
    assert Action.objects.get(pk=action.pk).turn == before
