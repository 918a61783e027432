"""Legs: what one host is told in one turn, as a Celery chain that ends in `advance`.

A leg is JSON kept with its action, so that it can be published again word for word; publishing is never inside a
transaction, never retried in place, and a failure is left to the sweep.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from celery import chain
from django.db import transaction
from django.utils import timezone

from cloud import context
from cloud.celery import app
from cloud.workflow import tokens
from cloud.workflow.models import Action, Host
from cloud.workflow.states import LIVE, ActionState, Verb
from hypervisor import reports
from hypervisor.spec import digest
from hypervisor.steps import HostStep, Role

log = logging.getLogger(__name__)

SCHEDULER_QUEUE = "scheduler"
_SLOW = 0.5  # seconds: a broker that takes so long to fail stands still, and each try would hang as long
_PAUSE = 5.0  # seconds in which nothing is tried after that: the sweep publishes
_quiet_until = 0.0


def build(
    action: Action,
    host: Host,
    items: Sequence[tuple[int, HostStep, Verb]],
    inputs: dict[str, Any],
    outputs: Any,
    *,
    turn: int | None = None,
) -> dict[str, Any]:
    """The leg that gives `items` (seq, step, verb) to `host` in `turn` (the action's), each with its token."""
    key = tokens.host_key(host)
    leg = {
        "protocol": reports.PROTOCOL,
        "action": str(action.pk),
        "target": str(action.target_id),
        "request_id": action.request_id,
        "inputs": inputs,
        "outputs": outputs,
        "results": [],
    }
    given = digest([inputs, outputs])
    orders = []
    for seq, step, verb in items:
        order: dict[str, Any] = {
            "seq": seq,
            "name": step.name,
            "verb": str(verb),
            "turn": action.turn if turn is None else turn,
            "host": host.name,
            "generation": host.generation,
            "digest": given,
        }
        order["token"] = reports.sign(key, *reports.token_parts(str(action.pk), order))
        order["task"] = step.task_name(verb)
        order["is_last"] = False
        orders.append(order)
    orders[-1]["is_last"] = True
    queue = reports.control_queue_of if items[0][1].on_control else reports.queue_of
    return {"leg": leg, "orders": orders, "queue": queue(host.name)}


def publish(actions: Sequence[Action], first_role: Role | None = None) -> None:
    """Publishes what each action's turn needs, its leg or the first `advance`, and marks those that went out.

    Failing to reach the broker is not an error here: the sweep publishes again.
    """
    global _quiet_until
    sent: dict[int, list[Any]] = {}
    for action in actions:
        begun = time.monotonic()
        if begun < _quiet_until:
            log.info("not published, the sweep will: the broker stood still a moment ago")
            break
        try:
            _send(action, first_role)
        except Exception as error:  # the broker is away: kombu and redis have no common base
            log.warning("not published, the sweep will: %s: %s", type(error).__name__, error)
            if time.monotonic() - begun > _SLOW:
                _quiet_until = time.monotonic() + _PAUSE
            break
        sent.setdefault(action.turn, []).append(action.pk)
    for turn, keys in sent.items():
        Action.objects.filter(pk__in=keys, turn=turn, state__in=LIVE).update(published_at=timezone.now())


def publish_on_commit(actions: Sequence[Action], first_role: Role | None = None) -> None:
    """Publishes once the transaction in hand is committed (rule R2). What fails then is logged and left to the sweep:
    the request was accepted."""
    bound = {k: v for k, v in context.current().items() if k == "request_id"}

    def now() -> None:
        with context.bound(**bound):
            publish(actions, first_role)

    transaction.on_commit(now, robust=True)


def _send(action: Action, first_role: Role | None) -> None:
    if action.leg is None:
        queue = SCHEDULER_QUEUE if first_role == Role.SCHEDULER else reports.CONDUCTOR_QUEUE
        app.send_task(reports.ADVANCE, args=[first_report(action)], queue=queue, retry=False)
    else:
        _chain(action.leg).apply_async(retry=False)


def first_report(action: Action) -> dict[str, Any]:
    """The message that begins a PENDING action: a report without results."""
    assert action.state == ActionState.PENDING or action.leg is None
    return {
        "protocol": reports.PROTOCOL,
        "action": str(action.pk),
        "request_id": action.request_id,
        "turn": action.turn,
        "results": [],
    }


def _chain(message: dict[str, Any]) -> Any:
    orders = message["orders"]
    queue = message["queue"]
    # What Flower and event listeners see of the arguments: not the inputs, which hold user data and signed addresses.
    shown = {"argsrepr": f"({message['leg']['target']},)", "kwargsrepr": "{}"}
    signatures = [app.signature(orders[0]["task"], args=[message["leg"], orders[0]], queue=queue, **shown)]
    signatures += [app.signature(order["task"], args=[order], queue=queue, **shown) for order in orders[1:]]
    signatures.append(app.signature(reports.ADVANCE, queue=reports.CONDUCTOR_QUEUE, **shown))
    return chain(*signatures)
