"""What hosts say by themselves, believed only with their signature: heartbeats, renewals, changes, answers."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.module_loading import import_string

from cloud.workflow import debts, hello
from cloud.workflow.giving import lease_end
from cloud.workflow.models import Action, ActionEvent, Host, HostQuery, Service
from cloud.workflow.signed import sender, sent_at, tell
from cloud.workflow.states import LIVE, OPEN, EventState
from hypervisor import reports

log = logging.getLogger(__name__)


@cache
def observers(setting: str) -> tuple[Any, ...]:
    """The callables that a setting names."""
    return tuple(import_string(path) for path in getattr(settings, setting))


def heartbeat(message: dict[str, Any]) -> None:
    """Marks the host as seen (and up), and lets the rooms see its inventory and guests.

    One that has to say hello first is told so, and does not count as seen (rule R6).
    """
    host = sender("heartbeat", message)
    sent = sent_at("heartbeat", host, message) if host is not None else None
    if host is None or sent is None:
        return
    now = timezone.now()
    generation = message.get("generation")
    is_welcome = bool(host.hello) and generation == host.generation
    if is_welcome:
        seen = Service.objects.filter(pk=host.service_id).exclude(last_seen_at__gte=min(sent, now))
        if not seen.update(last_seen_at=min(sent, now)):
            return  # replayed, or overtaken by a later one
        if not host.is_up and not host.service.is_forced_down:
            # Compared again: it may have been marked down, or said hello, since it was read.
            same = Host.objects.filter(pk=host.pk, hello=host.hello, generation=host.generation)
            host.is_up = bool(same.update(is_up=True))
            log.info("host %s is up, generation %s", host.name, host.generation)
        host.service.last_seen_at = now
        paid = message.get("paid") or []
        debts.settle(host, paid)
        if message.get("is_first") and host.is_up:
            hello.begin_anew(host, message.get("interrupted"))
            is_welcome = not debts.are_untold(host, paid)
    if message.get("wants_answer") or not is_welcome:
        said = {"sent_at": message["sent_at"], "of_generation": generation}
        tell(host, reports.HEARD, "heard", {**said, "generation": host.generation if is_welcome else 0})
    if is_welcome:
        for observe in observers("WORKFLOW_HEARTBEAT_OBSERVERS"):
            observe(host, message)


def is_current(host: Host, target_id: Any, turn: int) -> bool:
    """Whether an observation of a target, which `host` made when it had seen `turn` of it, says something of now: no
    action is alive on the target, and none gave the host a step since (rule R11)."""
    actions = Action.objects.filter(target_id=target_id)
    # What was meant for it while it was down has no generation: it never got there, and its journal knows no such turn.
    reached = ActionEvent.objects.filter(action__in=actions, host=host.name, generation__gt=0)
    given = reached.aggregate(turn=Max("turn"))["turn"]
    return given is not None and turn >= given and not actions.filter(state__in=LIVE).exists()


def guest_changed(message: dict[str, Any]) -> None:
    """Lets the rooms see a change of a guest, unless an action is alive on it, or ended after the change (rule R11)."""
    host = sender("guest_changed", message)
    if host is None or message["generation"] != host.generation:
        return
    with transaction.atomic():
        if is_current(host, message["guest"]["instance_id"], message["turn"]):
            for observe in observers("WORKFLOW_GUEST_OBSERVERS"):
                observe(host, message)
        else:
            log.info("passed over what host %s says of guest %s", host.name, message["guest"]["instance_id"])


def renew(message: dict[str, Any]) -> None:
    """Renews the lease of the leg that a host works on: the step at work is BEGUN, the others of its leg wait on."""
    host = sender("renew", message)
    if host is None:
        return
    mine = ActionEvent.objects.filter(
        action=message["action"], turn=message["turn"], host=host.name, generation=message["generation"], state__in=OPEN
    )
    if not mine.update(lease_until=lease_end()):
        log.info("passed over a renewal of host %s: it holds no open step of action %s", host.name, message["action"])
        return
    mine.filter(seq=message["seq"], verb=message["verb"]).update(state=EventState.BEGUN, progress=message["progress"])


def answer(message: dict[str, Any]) -> None:
    """Keeps a host's answer to a query."""
    host = sender("answer", message)
    if host is not None:
        HostQuery.objects.filter(pk=message["query"], host=host.name, answered_at=None).update(
            answer=message["answer"], error=message["error"], answered_at=timezone.now()
        )
