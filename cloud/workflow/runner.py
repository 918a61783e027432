"""The one place where progress is decided. Normal progress, resuming after a crash and unwinding are the same path:
read the log, build what is missing.

Every entry (`advance`, `take_over`) moves the action to its next turn by compare-and-set, and does all that follows in
the same transaction; messages go out after the commit. The rules are ENGINE.md's, named at the lines that keep them.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from typing import Any

from django.db import InterfaceError, OperationalError, connection, transaction

from cloud import context
from cloud.workflow.models import Action
from cloud.workflow.operation import operation
from cloud.workflow.reading import Refused, read_results
from cloud.workflow.states import LIVE, OPEN, ActionState, EventState, Verb
from cloud.workflow.turn import Turn
from hypervisor import reports
from hypervisor.steps import HostStep

log = logging.getLogger(__name__)

_TRIES = 3  # of a turn whose transaction the database ended: a deadlock, a lock waited for too long


def advance(report: dict[str, Any]) -> bool:
    """Accepts what a report brings and carries its action on. False when the report is stale, foreign or repeated."""
    if report.get("protocol") not in reports.READABLE:
        log.error("dropped a report in protocol %r", report.get("protocol"))
        return False
    try:
        action_id, turn = uuid.UUID(report["action"]), int(report["turn"])
        results = list(report["results"])
    except (KeyError, TypeError, ValueError) as error:
        log.error("dropped a malformed report: %r", error)
        return False
    with context.bound(action=str(action_id), request_id=report.get("request_id")):
        try:
            is_current = _take_turn(action_id, turn, lambda work: _accept(work, turn, results))
        except Refused as reason:
            log.error("refused a report of turn %s: %s", turn, reason)
            return False
        if not is_current:
            log.info("dropped a stale report of turn %s", turn)
        return is_current


def take_over(action_id: uuid.UUID, turn: int, why: str, *, spends_attempt: bool) -> bool:
    """Carries on an action whose turn went silent, or that waits, in a new turn (rule R9). False when it moved on."""

    def resume(work: Turn) -> None:
        log.warning("took over turn %s: %s", turn, why)
        work.resume(why, spends_attempt=spends_attempt)

    with context.bound(action=str(action_id)):
        return _take_turn(action_id, turn, resume)


def cancel(action_id: uuid.UUID) -> bool:
    """Asks that a live action end as CANCELLED. False when it is not alive. Who asks for a person asks
    `interventions.cancel_action`, which says why not.

    A step at work that is `cancellable` is stopped: the action goes back in the next turn, whose first order its host
    cannot but see. One that waits goes back at once. Any other is left to answer; and past the pivot nothing comes of
    it (rule R5).
    """
    if not Action.objects.filter(pk=action_id, state__in=LIVE).update(cancel_requested=True):
        return False
    action = Action.objects.get(pk=action_id)
    if action.state == ActionState.RUNNING and (action.leg is None or _is_cancellable(action)):
        take_over(action_id, action.turn, "it was cancelled", spends_attempt=False)
    return True


def _is_cancellable(action: Action) -> bool:
    """The step at work, or the first that is not begun, may be stopped."""
    given = [event for event in action.events.filter(turn=action.turn, state__in=OPEN) if event.host]
    at_work = next((e for e in given if e.state == EventState.BEGUN and not e.is_past), given[0] if given else None)
    if at_work is None or at_work.verb != Verb.DO:
        return False
    step = operation(action.operation).sequence[at_work.seq]
    return isinstance(step, HostStep) and step.cancellable


def _take_turn(action_id: uuid.UUID, turn: int, decide: Callable[[Turn], None]) -> bool:
    """Moves the action from `turn` to the next and lets `decide` fill that, in one transaction (rules R1, R2). False
    when the action is in another turn, or ended.

    An error that no step foresaw must not lose the action with its message: it waits, and in the end turns round.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            return _in_next_turn(action_id, turn, decide)
        except Refused:
            raise
        except (OperationalError, InterfaceError) as error:
            if not tries_left:
                raise  # the database is away: sweeps find the action as it was
            log.warning("tries turn %s again: %s", turn, error)
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
        except Exception as error:
            log.exception("turn %s came to nothing", turn)
            broken = error
            break
    return _in_next_turn(action_id, turn, lambda work: work.break_off(broken))


def _in_next_turn(action_id: uuid.UUID, turn: int, decide: Callable[[Turn], None]) -> bool:
    with transaction.atomic():
        action = _locked_in(action_id, turn)
        if action is None:
            return False
        action.turn += 1
        work = Turn(action)
        decide(work)
        work.save()
    return True


def _locked_in(action_id: uuid.UUID, turn: int) -> Action | None:
    """The action, if it is alive and in `turn`, locked until the transaction ends: the compare of R1's compare-and-set.

    PostgreSQL compares again once it has waited for the lock; in SQLite the transaction itself is the lock.
    """
    live = Action.objects.select_for_update(no_key=True).filter(pk=action_id, turn=turn, state__in=LIVE)
    return live.first()


def _accept(work: Turn, turn: int, results: list[dict[str, Any]]) -> None:
    if work.action.state == ActionState.PENDING:
        if results:
            raise Refused("results for an action that has not begun")
        work.begin()
    else:
        work.go_on(read_results(work.action, turn, results, work.log))
