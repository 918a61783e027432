"""How a host begins anew (rule R6): its hello, the answer with its next generation, and its first heartbeat under that.

A hello is answered with the guests that the host must let go and what it owes; only the heartbeat that follows brings
it up. Docs: `docs/decisions/0005-a-host-says-hello.md`.
"""

from __future__ import annotations

import logging
import uuid
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max, Q, QuerySet
from django.utils import timezone
from django.utils.module_loading import import_string

from cloud import context
from cloud.workflow import debts
from cloud.workflow.models import Action, ActionEvent, Host
from cloud.workflow.operation import operations
from cloud.workflow.runner import take_over
from cloud.workflow.signed import sender, sent_at, tell
from cloud.workflow.states import LIVE, OPEN, ActionState, EventState
from hypervisor import reports

log = logging.getLogger(__name__)

_AT_ONCE = 100  # actions that one heartbeat takes over; the sweep does the others
_HIGHEST = 2**31 - 2


def hello(message: dict[str, Any]) -> None:
    """Gives the host its next generation and answers. A host that repeats its hello is answered again, alike.

    A host that is forced down is not answered: it takes no work until an operator lets it. Nor is one that is about to
    be switched off, until that has been tried.
    """
    host = sender("hello", message)
    sent = sent_at("hello", host, message) if host is not None else None
    if host is None or sent is None:
        return
    if host.service.is_forced_down:
        log.warning("host %s says hello and is forced down: it is not answered", host.name)
        return
    with transaction.atomic():
        host = Host.objects.select_for_update().get(pk=host.pk)
        if host.fence_asked_at is not None:
            log.warning("host %s says hello and is to be fenced: it is not answered", host.name)
            return
        if host.hello != message["hello"]:
            if host.hello_at is not None and sent < host.hello_at:
                log.info("passed over an old hello of host %s", host.name)
                return
            # Above what the host says too: a restored database is behind its hosts.
            host.generation = min(max(host.generation, int(message["generation"])), _HIGHEST) + 1
            host.hello, host.hello_at = message["hello"], sent
            host.is_fenced = False
            host.save(update_fields=["generation", "hello", "hello_at", "is_fenced"])
            log.info("host %s says hello: its generation is %s", host.name, host.generation)
        guests = [str(uuid.UUID(guest)) for guest in message["guests"]]
        last = _last_actions(guests)
        given = ActionEvent.objects.filter(host=host.name, generation__gt=0, action__target_id__in=guests)
        given = given.exclude(state=EventState.OWED)
        answer = {
            "hello": host.hello,
            "generation": host.generation,
            "down_after": settings.DOWN_AFTER,
            "turns": _turns(given, last),
            "lost": (lost := _lost(host, given, last)),
            "kept": _kept(host, lost),
            "debts": debts.of(host),
        }
    tell(host, reports.WELCOME, "welcome", answer)


def _last_actions(guests: list[str]) -> list[Action]:
    """The action that each of the guests had last; none of a guest that the database does not know."""
    columns = ("pk", "target_id", "turn", "state", "operation")
    rows = Action.objects.filter(target_id__in=guests).order_by("turn", "created_at").only(*columns)
    return list({action.target_id: action for action in rows}.values())


def _turns(given: QuerySet[ActionEvent], last: list[Action]) -> dict[str, int]:
    """The turn of each guest that the host has to have seen: above all that it was given, not above what it owes."""
    rows = given.values("action__target_id").annotate(turn=Max("turn"))
    highest = {row["action__target_id"]: row["turn"] for row in rows}
    return {str(action.target_id): highest.get(action.target_id, action.turn - 1) + 1 for action in last}


def _lost(host: Host, given: QuerySet[ActionEvent], last: list[Action]) -> list[str]:
    """Those of the guests that are not the host's any more, in the eyes of the rooms, and that no action is about.

    A guest that an action is at work on here is the action's to deal with; what one left STUCK here is a person's. A
    guest that no action knows is nobody's to remove: the database may have been restored from before it was made.
    """
    here = set(given.values_list("action", flat=True))
    lost: list[str] = []
    idle: list[str] = []
    for action in last:
        if action.pk in here and action.state in (*LIVE, ActionState.STUCK):
            continue
        verb = operations().get(action.operation)
        is_abandoned = action.state in LIVE and verb is not None and verb.abandons_other_hosts
        (lost if is_abandoned else idle).append(str(action.target_id))
    owned: set[str] = set()
    for path in settings.WORKFLOW_OWNED_GUESTS:
        owned |= set(import_string(path)(host, idle))
    return lost + [guest for guest in idle if guest not in owned]


def _kept(host: Host, lost: list[str]) -> list[str]:
    """Those of the lost guests whose files must stay on the host, for somebody else needs them or may yet."""
    kept: set[str] = set()
    for path in settings.WORKFLOW_KEPT_FILES:
        kept |= set(import_string(path)(host.name, lost))
    return sorted(kept)


def begin_anew(host: Host, interrupted: Any = None) -> None:
    """After the first heartbeat of a generation: what was given under older ones and not answered never will be, so
    those actions are taken over at once; and what waited for this host waits no longer.

    A step that was at work costs an attempt, one that was not begun does not. It was at work when it renewed its lease,
    or when the host's journal has it begun without a result: `interrupted`, [{action, seq, verb, turn}]. Hosts of an
    older release do not say (rule R12).
    """
    lost = ActionEvent.objects.filter(
        host=host.name,
        state__in=OPEN,
        generation__lt=host.generation,
        action__state__in=LIVE,
        turn=F("action__turn"),
    )
    _note_begun(lost, interrupted)
    begun = Max("state", filter=Q(state=EventState.BEGUN, progress__is_past=False))
    rows = lost.values("action", "turn", "action__request_id").annotate(begun=begun).order_by("action")
    for row in list(rows[:_AT_ONCE]):
        with context.bound(request_id=row["action__request_id"]):
            why = f"host {host.name} began anew, as generation {host.generation}"
            try:
                take_over(row["action"], row["turn"], why, spends_attempt=row["begun"] is not None)
            except Exception:
                log.exception("action %s could not be taken over", row["action"])
    lost.update(lease_until=timezone.now())
    waiting = Action.objects.filter(state__in=LIVE, not_before__gt=timezone.now(), events__host=host.name)
    Action.objects.filter(pk__in=list(waiting.values_list("pk", flat=True))).update(not_before=timezone.now())


def _note_begun(lost: QuerySet[ActionEvent], interrupted: Any) -> None:
    """Notes as BEGUN what the host's journal has begun without a result, though no renewal ever came of it: without
    this a step that kills its worker in its first seconds would be given again until the deadline."""
    unnoted = set(lost.filter(state=EventState.GIVEN).values_list("action", flat=True).distinct())
    for entry in interrupted if isinstance(interrupted, list) and unnoted else ():
        try:
            action, seq, turn = uuid.UUID(entry["action"]), int(entry["seq"]), int(entry["turn"])
            given = {"action": action, "seq": seq, "verb": str(entry["verb"]), "turn": turn}
        except (KeyError, TypeError, ValueError, AttributeError):
            continue  # what is malformed says nothing
        if action in unnoted:
            progress = {"percent": None, "message": "", "details": None, "is_past": False}
            lost.filter(**given, state=EventState.GIVEN).update(state=EventState.BEGUN, progress=progress)
