"""What a taken-over host writes into the conductors' queue, read by a real conductor: refused or without effect, and
said in the log; nothing of it comes to the queue of another host (rule R7).

The cloud in a box makes rows and genuine messages; the attacker is the host that was not given the step.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from cloud.deliveries import plain
from cloud.workflow import tokens
from cloud.workflow.models import Action, ActionEvent, Host, HostQuery, Service
from cloud.workflow.states import ActionState, EventState
from hypervisor import reports
from instances.models import Instance
from tests.broker import brokers, processes
from tests.broker.brokers import Broker, message
from tests.broker.processes import Worker
from tests.operations.cloud_in_a_box import CloudInABox, Message
from tests.operations.conftest import box  # noqa: F401
from tests.operations.scenarios import World
from tests.running_cloud import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

REMOVE = {"task": "hypervisor.remove_guest", "args": [{}, {}], "kwargs": {}, "subtask_type": None, "immutable": True}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with brokers.running(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture(scope="module")
def conductor(
    broker: Broker, tmp_path_factory: pytest.TempPathFactory, django_db_setup: Any, django_db_blocker: Any
) -> Iterator[Worker]:
    with django_db_blocker.unblock():
        with processes.conductor(broker, tmp_path_factory.mktemp("conductor")) as worker:
            yield worker


class Attack:
    """A boot that was given to `victim`, whose genuine report is kept back; `attacker` is the other host."""

    def __init__(self, box: CloudInABox, broker: Broker, conductor: Worker) -> None:  # noqa: F811
        self.world, self.broker, self.conductor = World(box), broker, conductor
        self.action = self.world.boot()
        self.report = self._report()
        self.victim = self.world.instance().host
        self.attacker = "h1" if self.victim == "h2" else "h2"
        self.key = tokens.host_key(Host.objects.get(name=self.attacker))
        self.victims_key = tokens.host_key(Host.objects.get(name=self.victim))
        self.client = broker.host(self.attacker, self.key)
        conductor.listen()

    def _report(self) -> dict[str, Any]:
        kept: list[Message] = []

        def keep(taken: Message) -> bool:
            is_report = taken.task == reports.ADVANCE and bool(taken.args[0]["results"])
            kept.extend([taken] if is_report else [])
            return not is_report

        while not kept:
            assert self.world.box.step(on=keep) is not None
        return json.loads(json.dumps(kept[0].args[0]))

    def send(self, task: str, *args: Any, **more: Any) -> None:
        """LPUSH to `conductor` with the attacker's Redis user."""
        self.client.lpush("conductor", json.dumps(message(task, *args, **more)))

    def send_as_victim(self, task: str, *args: Any) -> None:
        """The same with the victim's user: what the victim really sends."""
        self.broker.host(self.victim, self.victims_key).lpush("conductor", json.dumps(message(task, *args)))

    def signed(self, kind: str, body: dict[str, Any], *, key: str = "", sent_at: float = 0.0) -> dict[str, Any]:
        """A message signed with the attacker's key, now unless `sent_at` says when."""
        body = {"host": self.attacker, "sent_at": sent_at or time.time(), **body}
        return reports.signed_message(key or self.key, kind, body)

    def facts(self) -> list[Any]:
        """All that a forged message could have changed."""
        models: list[Any] = [Action, ActionEvent, Instance, Host, HostQuery]
        rows = [list(model.objects.order_by("pk").values()) for model in models]
        return [*rows, list(Service.objects.filter(binary="nova-compute").order_by("pk").values())]

    def queues(self) -> dict[str, int]:
        """What waits for the victim."""
        names = [reports.queue_of(self.victim), reports.control_queue_of(self.victim)]
        return {name: self.broker.admin.llen(name) for name in names}

    def ends_with(self, words: str, before: list[Any]) -> None:
        """The conductor says that, and nothing else came of the message; then it still does its work."""
        self.conductor.says(words)
        self.is_over()
        assert self.facts() == before
        assert self.queues() == dict.fromkeys(self.queues(), 0)
        assert self.conductor.is_alive

    def is_over(self) -> None:
        """Waits until the conductor has nothing in hand."""
        admin = self.broker.admin
        wait_for("the conductor", lambda: not (admin.llen("conductor") or admin.hlen("unacked.conductor")), 30)


@pytest.fixture
def attack(box: CloudInABox, broker: Broker, conductor: Worker) -> Iterator[Attack]:  # noqa: F811
    for key in broker.admin.keys("*compute*"):
        broker.admin.delete(key)
    for name in ("h1", "h2"):
        broker.admit(name, tokens.host_key(Host.objects.get(name=name)))
    attack = Attack(box, broker, conductor)
    yield attack
    attack.is_over()
    connection.close()


# --- advance ----------------------------------------------------------------------------------------------------------


def forged(attack: Attack, host: str, key: str) -> dict[str, Any]:
    report = json.loads(json.dumps(attack.report))
    for result in report["results"]:
        result["host"] = host
        result["signature"] = reports.sign(key, *reports.result_parts(report["action"], result))
    return report


def test_the_victims_own_report_is_believed_once(attack: Attack) -> None:
    """By the same road as every forgery below: the road works."""
    attack.send_as_victim(reports.ADVANCE, attack.report)
    wait_for("the boot", lambda: Action.objects.get(pk=attack.action.pk).state == ActionState.SUCCEEDED, 30)
    attack.is_over()
    before = attack.facts()
    attack.conductor.listen()
    attack.send_as_victim(reports.ADVANCE, attack.report)
    attack.ends_with("dropped a stale report", before)


def test_a_host_cannot_report_for_another(attack: Attack) -> None:
    before = attack.facts()
    attack.send(reports.ADVANCE, forged(attack, attack.victim, attack.key))
    attack.ends_with(f"is not signed by {attack.victim}", before)


def test_a_host_cannot_answer_for_a_step_that_it_was_not_given(attack: Attack) -> None:
    before = attack.facts()
    attack.send(reports.ADVANCE, forged(attack, attack.attacker, attack.key))
    attack.ends_with("the log gave no such step", before)


def test_a_report_of_another_host_with_something_changed_is_refused(attack: Attack) -> None:
    before = attack.facts()
    report = json.loads(json.dumps(attack.report))
    report["results"][0]["output"] = {"disk": "/etc/shadow"}
    attack.send(reports.ADVANCE, report)
    attack.ends_with(f"is not signed by {attack.victim}", before)


def test_an_empty_report_moves_nothing(attack: Attack) -> None:
    before = attack.facts()
    attack.send(reports.ADVANCE, {**attack.report, "results": []})
    attack.ends_with("a report without results", before)


# --- heartbeat, hello, renewal, change, answer ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["heartbeat", "hello", "renew", "guest_changed", "answer"])
def test_a_host_cannot_speak_for_another(attack: Attack, kind: str) -> None:
    before = attack.facts()
    body = {"host": attack.victim, "generation": 1, "hello": "x", "guests": [], "is_first": True, "wants_answer": True}
    attack.send(f"workflow.{kind}", attack.signed(kind, body))
    attack.ends_with(f"dropped a {kind} that host {attack.victim} did not sign", before)


def test_a_heartbeat_of_an_hour_ago_says_nothing(attack: Attack) -> None:
    before = attack.facts()
    body = {"generation": Host.objects.get(name=attack.attacker).generation, "wants_answer": True}
    attack.send(reports.HEARTBEAT, attack.signed("heartbeat", body, sent_at=time.time() - 3600))
    attack.ends_with(f"passed over a heartbeat of host {attack.attacker}", before)


def test_a_heartbeat_says_nothing_the_second_time(attack: Attack) -> None:
    host = Host.objects.get(name=attack.attacker)
    beat = attack.signed("heartbeat", {"generation": host.generation})
    seen = Service.objects.filter(pk=host.service_id)
    earlier = seen.get().last_seen_at
    attack.send(reports.HEARTBEAT, beat)
    wait_for("the heartbeat", lambda: seen.get().last_seen_at != earlier, 30)
    attack.is_over()
    before = attack.facts()
    attack.send(reports.HEARTBEAT, beat)
    attack.send(reports.ADVANCE, {**attack.report, "results": []})  # read after it by the one process
    attack.ends_with("a report without results", before)


def test_a_hello_from_before_the_last_one_begins_nothing_anew(attack: Attack) -> None:
    old = attack.signed("hello", {"hello": "old", "generation": 0, "guests": []})
    host = Host.objects.filter(name=attack.attacker)
    generation = host.get().generation
    attack.send(reports.HELLO, attack.signed("hello", {"hello": "new", "generation": generation, "guests": []}))
    wait_for("the new hello", lambda: host.get().generation == generation + 1, 30)
    attack.is_over()
    before = attack.facts()
    attack.send(reports.HELLO, old)
    attack.ends_with(f"passed over an old hello of host {attack.attacker}", before)


def test_a_host_renews_no_lease_of_a_step_of_another(attack: Attack) -> None:
    before = attack.facts()
    event = ActionEvent.objects.filter(action=attack.action, state=EventState.GIVEN, host=attack.victim).first()
    assert event is not None
    body = {"action": str(attack.action.pk), "seq": event.seq, "verb": "do", "turn": event.turn}
    body |= {"generation": event.generation, "progress": {"percent": 99}}
    attack.send(reports.RENEW, attack.signed("renew", body))
    attack.ends_with(f"passed over a renewal of host {attack.attacker}", before)


def test_a_host_says_nothing_of_a_guest_of_another(attack: Attack) -> None:
    attack.send_as_victim(reports.ADVANCE, attack.report)
    wait_for("the boot", lambda: Action.objects.get(pk=attack.action.pk).state == ActionState.SUCCEEDED, 30)
    attack.is_over()
    before = attack.facts()
    guest = {"instance_id": str(attack.world.instance_id), "power_state": 4, "reason": "destroyed", "vcpus": 1}
    generation = Host.objects.get(name=attack.attacker).generation
    body = {"generation": generation, "turn": 99, "event": "stopped", "guest": guest}
    attack.send(reports.GUEST_CHANGED, attack.signed("guest_changed", body))
    attack.ends_with(f"passed over what host {attack.attacker} says of guest", before)


def test_a_host_answers_no_question_that_another_was_asked(attack: Attack) -> None:
    query = HostQuery.objects.create(host=attack.victim, name="console_output")
    before = attack.facts()
    body = {"query": str(query.pk), "answer": "all is well", "error": None}
    attack.send(reports.ANSWER, attack.signed("answer", body))
    attack.send(reports.ADVANCE, {**attack.report, "results": []})  # read after it by the one process
    attack.ends_with("a report without results", before)


# --- messages that carry further tasks, or are none -------------------------------------------------------------------


@pytest.mark.parametrize("cargo", ["chain", "callbacks", "errbacks", "chord"])
@pytest.mark.parametrize("task", ["workflow.heartbeat", "workflow.sweep", "workflow.advance"])
def test_a_message_with_further_tasks_is_refused(attack: Attack, cargo: str, task: str) -> None:
    before = attack.facts()
    further: Any = {**REMOVE, "options": {"queue": reports.queue_of(attack.victim)}}
    attack.send(task, {"host": attack.victim}, embedded={cargo: further if cargo == "chord" else [further]})
    attack.ends_with(f"refused a message of {task} that carries {cargo}", before)


@pytest.mark.parametrize("name", ["timelimit", "eta"])
def test_a_message_with_a_time_of_its_own_is_dropped(attack: Attack, name: str) -> None:
    """A time limit ends the task from outside, and its errback was published by the conductor's first process."""
    before = attack.facts()
    further = {**REMOVE, "options": {"queue": reports.queue_of(attack.victim)}}
    header: dict[str, Any] = {"timelimit": {"timelimit": [0.001, None]}, "eta": {"eta": "2100-01-01T00:00:00"}}[name]
    attack.send("workflow.sweep", embedded={"errbacks": [further]}, headers=header)
    attack.ends_with("a time of its own to begin or to end", before)


def test_a_task_of_a_compute_host_is_unknown_to_a_conductor(attack: Attack) -> None:
    before = attack.facts()
    attack.send("hypervisor.remove_guest", {}, {})
    attack.ends_with("Received unregistered task of type 'hypervisor.remove_guest'", before)


def test_a_message_is_never_put_back_into_another_queue_than_it_came_from() -> None:
    """Where it says that it belongs is not believed: what a conductor was at when it ended would go there."""
    properties = {"delivery_info": {"exchange": "", "routing_key": "compute.h2"}}
    let_in = plain(message("workflow.sweep", properties=properties), "conductor")
    assert let_in["properties"]["delivery_info"]["routing_key"] == "conductor"


GARBAGE: dict[str, Callable[[], bytes]] = {
    "no JSON": lambda: b"order",
    "no text": lambda: b"\xff\xfe\x00",
    "brackets without end": lambda: b"[" * 100_000,
    "a number": lambda: b"1",
    "a list": lambda: b"[]",
    "no properties": lambda: json.dumps({**message("workflow.sweep"), "properties": None}).encode(),
    "a task that is a list": lambda: json.dumps(message("workflow.sweep", headers={"task": ["x"]})).encode(),
    "a task without an id": lambda: json.dumps(message("workflow.sweep", headers={"id": None})).encode(),
    "a body that is no base64": lambda: json.dumps({**message("workflow.sweep"), "body": "?"}).encode(),
    "a body that is no call": lambda: json.dumps({**message("workflow.sweep"), "body": "e30="}).encode(),
    "a pickle": lambda: json.dumps(
        {**message("workflow.sweep"), "content-type": "application/x-python-serialize"}
    ).encode(),
}


@pytest.mark.parametrize("garbage", sorted(GARBAGE))
def test_nothing_that_a_host_writes_ends_a_conductor(attack: Attack, garbage: str) -> None:
    before = attack.facts()
    attack.client.lpush("conductor", GARBAGE[garbage]())
    attack.send(reports.ADVANCE, {**attack.report, "results": []})  # read after it
    attack.ends_with("a report without results", before)
    said = attack.conductor.said()
    assert any(words in said for words in ("dropped a message", "carries no call", "Refusing to deserialize")), said
