"""Findings about actions and their steps: leases of steps, actions that need a person, steps that nobody finished."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from cloud.workflow.models import Action, ActionEvent
from cloud.workflow.states import LIVE, OPEN, ActionState, EventState
from cloud.workflow.sweeps import repair_silent_legs
from instances.doctor.finding import Clearing, Code, Finding, InTransaction
from instances.doctor.look import Look

_OVERDUE: Final = timedelta(seconds=120)  # or eight leases: the sweep that looks after leases runs every few seconds

STALE = Code(
    name="lease.stale",
    finds="a step counts as at work, with its lease, and its action has ended",
    danger="Counts of work in progress are wrong; nothing else looks at it.",
    repair="The step is closed as FAILED.",
    is_safe=True,
)
OVERDUE = Code(
    name="lease.overdue",
    finds="the lease of a live action's step ran out minutes ago and nobody carried the action on",
    danger="Actions that were interrupted stay so: beat or every conductor is down, or a sweep fails at it.",
    repair="The sweep is run once; see that beat and a conductor run.",
    is_safe=True,
)
STUCK = Code(
    name="action.stuck",
    finds="the last action on an instance ended STUCK",
    danger="It could neither go on nor be undone, and left things on the hosts of its log.",
    repair="Read its timeline and fault in the console; then delete the instance, or reset its state.",
)
INTERRUPTED = Code(
    name="step.interrupted",
    finds="a host began a step and never finished it, and no action of that target is alive",
    danger="What it began may be half there.",
    repair="An action of the doctor makes the host end what is left running of it.",
    is_safe=True,
)
CODES = (STALE, OVERDUE, STUCK, INTERRUPTED)


def findings(look: Look) -> Iterator[Finding]:
    """All of this family."""
    yield from _stale()
    yield from _overdue()
    yield from _stuck(look)
    yield from _interrupted(look)


def _stale() -> Iterator[Finding]:
    rows = ActionEvent.objects.filter(state__in=OPEN).exclude(action__state__in=LIVE).select_related("action")
    for event in rows:
        yield Finding(
            code=STALE,
            objects={"action": str(event.action_id), "step": event.name, "host": event.host, "event": str(event.pk)},
            detail=f"Step {event.name} of action {event.action_id} ({event.action.state}) is {event.state}.",
            concerns=frozenset({event.action.target_id}),
            fix=InTransaction(work=partial(_close, event.pk)),
        )


def _close(event: int) -> bool:
    error = {"code": "lease.stale", "message": "Its action had ended; the doctor closed it."}
    rows = ActionEvent.objects.filter(pk=event, state__in=OPEN).exclude(action__state__in=LIVE)
    closed = rows.update(state=EventState.FAILED, error=error, lease_until=None, finished_at=timezone.now())
    return bool(closed)


def _overdue() -> Iterator[Finding]:
    before = timezone.now() - max(_OVERDUE, timedelta(seconds=8 * settings.LEASE))
    rows = ActionEvent.objects.filter(state__in=OPEN, lease_until__lt=before, action__state__in=LIVE)
    rows = rows.filter(turn=F("action__turn")).exclude(host="").select_related("action")
    for event in rows:
        yield Finding(
            code=OVERDUE,
            objects={"action": str(event.action_id), "step": event.name, "host": event.host},
            detail=f"The lease of step {event.name} on host {event.host} ran out at {event.lease_until:%H:%M:%S}.",
            fix=InTransaction(work=_sweep),
        )


def _sweep() -> bool:
    repair_silent_legs()
    return True


def _stuck(look: Look) -> Iterator[Finding]:
    later = Action.objects.filter(
        target_type=OuterRef("target_type"), target_id=OuterRef("target_id"), turn__gt=OuterRef("turn")
    )
    for action in Action.objects.filter(~Exists(later), state=ActionState.STUCK):
        if action.target_id in look.instances:
            fault = (action.fault or {}).get("message", "no fault is known")
            yield Finding(
                code=STUCK,
                objects={"instance": str(action.target_id), "action": str(action.pk), "operation": action.operation},
                detail=f"Action {action.operation} is STUCK: {fault}",
                concerns=frozenset({action.target_id}),
            )


def _interrupted(look: Look) -> Iterator[Finding]:
    for host, holdings in look.hosts.items():
        for step in holdings.open_steps:
            begun = datetime.fromtimestamp(step.begun_at, UTC)
            target = UUID(step.target)
            yield Finding(
                code=INTERRUPTED,
                objects={"host": host, "target": step.target, "step": step.name},
                detail=f"Host {host} began {step.name} at {begun:%Y-%m-%d %H:%M:%S} and did not finish it.",
                concerns=frozenset({target}),
                fix=Clearing(target=target, host=host),
            )
