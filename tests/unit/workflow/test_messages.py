"""What a conductor believes of a message, and what a host does: nothing that the log did not ask for (rule R7)."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from cloud.workflow import hosts, tokens
from cloud.workflow.models import Action, ActionEvent, Host, Service
from cloud.workflow.runner import advance
from cloud.workflow.services import TargetBusy, start_actions, supersede
from cloud.workflow.states import ActionState, EventState
from hypervisor import reports
from tests.operations.cloud_in_a_box import CloudInABox, Message
from tests.operations.conftest import box  # noqa: F401
from tests.operations.scenarios import World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(box: CloudInABox) -> World:  # noqa: F811
    return World(box)


@pytest.fixture
def last_report(world: World) -> dict[str, Any]:
    """The report of a boot's leg, taken from the queue and not delivered."""
    world.boot()
    reports_seen: list[Message] = []

    def keep(message: Message) -> bool:
        has_results = message.task == reports.ADVANCE and message.args[0]["results"]
        if has_results:
            reports_seen.append(message)
        return not has_results

    while not reports_seen:
        assert world.box.step(on=keep) is not None
    return copy.deepcopy(reports_seen[0].args[0])


def state_of(world: World) -> tuple[str, int]:
    action = Action.objects.get(target_id=world.instance_id)
    return action.state, action.turn


def test_the_report_itself_is_believed(world: World, last_report: dict[str, Any]) -> None:
    assert advance(last_report)
    assert state_of(world)[0] == ActionState.SUCCEEDED


@pytest.mark.parametrize(
    "change", ["output", "status", "seq", "turn", "host", "generation", "verb", "signature", "error"]
)
def test_a_changed_result_changes_nothing(world: World, last_report: dict[str, Any], change: str) -> None:
    before = state_of(world)
    result = last_report["results"][-1]
    other_host = "h1" if result["host"] == "h2" else "h2"
    forged = {"seq": 0, "turn": 99, "generation": 7, "host": other_host, "status": "failed"}
    result[change] = forged.get(change, "forged")
    assert not advance(last_report)
    assert state_of(world) == before
    assert not ActionEvent.objects.filter(state=EventState.DONE).exclude(host="").exists()


def test_a_host_cannot_answer_for_another(world: World, last_report: dict[str, Any]) -> None:
    before = state_of(world)
    result = last_report["results"][0]
    other = next(host for host in Host.objects.all() if host.name != result["host"])
    key = tokens.host_key(other)
    result["signature"] = reports.sign(key, *reports.result_parts(last_report["action"], result))
    assert not advance(last_report)
    result["host"] = other.name
    result["signature"] = reports.sign(key, *reports.result_parts(last_report["action"], result))
    assert not advance(last_report)
    assert state_of(world) == before


def test_a_report_is_believed_once(world: World, last_report: dict[str, Any]) -> None:
    assert advance(copy.deepcopy(last_report))
    after = state_of(world)
    assert not advance(last_report)
    assert state_of(world) == after


@pytest.mark.parametrize(
    "report",
    [
        {},
        {"protocol": 1},
        {"protocol": 99, "action": "x", "turn": 1, "results": []},
        {"protocol": 1, "action": "not a uuid", "turn": 1, "results": []},
        {"protocol": 1, "action": "00000000-0000-4000-8000-000000000000", "turn": 1, "results": []},
        {"protocol": 1, "action": "00000000-0000-4000-8000-000000000000", "turn": "x", "results": None},
    ],
)
def test_a_malformed_report_is_dropped(report: dict[str, Any]) -> None:
    assert not advance(report)


def test_an_empty_report_moves_nothing_that_has_begun(world: World, last_report: dict[str, Any]) -> None:
    before = state_of(world)
    assert not advance({**last_report, "results": []})
    assert state_of(world) == before


@pytest.mark.parametrize("part", ["name", "verb", "turn", "seq", "generation", "token", "host"])
def test_a_host_drops_an_order_that_was_changed(world: World, part: str) -> None:
    world.boot()
    world.box.step()
    instance = world.instance()
    message = world.box.take(f"compute.{instance.host}")
    assert message is not None
    leg, order = json.loads(json.dumps(message.args))
    order[part] = {"name": "remove_guest", "verb": "undo", "turn": 50, "seq": 1, "generation": 9}.get(part, "h9")
    assert world.box.executors[instance.host].carry(leg, order) is None
    assert world.box.leftovers(instance.pk) == []


def test_a_host_drops_an_order_whose_inputs_were_changed(world: World) -> None:
    world.boot()
    world.box.step()
    instance = world.instance()
    message = world.box.take(f"compute.{instance.host}")
    assert message is not None
    leg, order = json.loads(json.dumps(message.args))
    leg["inputs"]["guest"]["memory_mib"] = 1
    assert world.box.executors[instance.host].carry(leg, order) is None


def test_a_host_that_has_seen_a_higher_turn_says_so_and_the_conductor_goes_on_above_it(world: World) -> None:
    """A database that was restored from yesterday is behind its hosts (rule R11)."""
    action = world.boot()
    for executor in world.box.executors.values():
        executor.journal.of(str(world.instance_id)).raise_turn(40)
    world.box.recover()
    world.assert_succeeded(action)
    action.refresh_from_db()
    assert action.turn > 40


def test_heartbeats_count_only_when_their_host_signed_them(box: CloudInABox) -> None:  # noqa: F811
    Service.objects.update(last_seen_at=None)
    Host.objects.update(is_up=False)
    good = reports.signed_message(box.configs["h1"].key, "heartbeat", {"host": "h1", "sent_at": 2_000_000_000.0})
    for forged in ({**good, "host": "h2"}, {**good, "sent_at": 1.0}, {**good, "signature": "x"}, {"host": "h1"}):
        hosts.heartbeat(forged)
    assert not Host.objects.filter(is_up=True).exists()
    assert not Service.objects.exclude(last_seen_at=None).exists()
    box.beat("h1")
    assert list(Host.objects.filter(is_up=True).values_list("name", flat=True)) == ["h1"]


def test_a_conductor_refuses_a_message_that_carries_further_tasks() -> None:
    from celery.app.task import Context
    from celery.exceptions import Ignore

    from cloud.workflow.tasks import sweep

    further = [{"task": "hypervisor.remove_guest"}]
    for cargo in ("chain", "callbacks", "errbacks", "chord"):
        sweep.request_stack.push(Context({cargo: further, "id": "1"}))
        try:
            with pytest.raises(Ignore):
                sweep()
        finally:
            sweep.request_stack.pop()


def test_one_live_action_holds_a_target(world: World) -> None:
    action = world.boot()
    with pytest.raises(TargetBusy):
        start_actions(
            operation="boot", targets=[action.target_id], project_id="p", user_id="u", parameters={}, is_new=False
        )
    deletion = supersede(operation="delete", target=action.target_id, project_id="p", user_id="u")
    again = supersede(operation="delete", target=action.target_id, project_id="p", user_id="u")
    assert deletion.pk == again.pk
    action.refresh_from_db()
    assert (action.state, action.superseded_by) == (ActionState.CANCELLED, deletion)
    assert deletion.turn > action.turn


def test_a_renewal_keeps_the_whole_leg_from_being_sent_again(world: World) -> None:
    action = world.boot()
    world.box.step()
    world.box.expire()
    event = ActionEvent.objects.filter(action=action, state=EventState.GIVEN).first()
    assert event is not None
    body = {
        "action": str(action.pk),
        "seq": event.seq,
        "verb": "do",
        "turn": event.turn,
        "generation": event.generation,
        "progress": {"percent": 40, "message": "downloading"},
        "host": event.host,
        "sent_at": 0.0,
    }
    hosts.renew(reports.signed_message(world.box.configs[event.host].key, "renew", body))
    event.refresh_from_db()
    assert (event.state, event.progress["percent"]) == (EventState.BEGUN, 40)
    late = ActionEvent.objects.filter(action=action, state__in=("GIVEN", "BEGUN"), lease_until__lt=action.created_at)
    assert not late.exists()
