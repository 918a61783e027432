"""Repairs what an examination found and that is safe to repair; says of the rest why it was left.

Rows are put right in one transaction, a host is touched through an action of its own (rule R11). Either way the target
must have been left alone since it was found wrong: that is looked at again with the target's slot, or its rows, held.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.db import transaction

from cloud import context
from cloud.errors import CloudError, Conflict
from cloud.networks import reach
from cloud.workflow.models import Action
from cloud.workflow.services import start_actions
from cloud.workflow.states import LIVE, ActionState
from instances.doctor.examination import HOST_PATIENCE, Examination, Say, examine, quietly
from instances.doctor.finding import CacheClearing, Clearing, Finding, Fix, InTransaction, Restoring, Telling
from instances.doctor.stamps import Stamps
from instances.operations.clear_cache import ClearCache
from instances.operations.clear_remains import ClearRemains
from instances.operations.restore_guest import RestoreGuest
from instances.services.own_actions import begin_own_action

log = logging.getLogger(__name__)

ACTION_PATIENCE = 60.0  # seconds that the actions of one repair are waited for, together
CACHE_TARGET_TYPE = "thing on a host"
_THINGS = UUID("5f6d9c0e-1b8e-4f57-9d0a-0a6f6f1f2c55")  # a namespace: each of them is a target of its own
_POLL = 0.05
_ROUNDS = 3


class Changed(Conflict):
    """Something happened to the target since it was found wrong."""

    code = "doctor.changed"


@dataclass
class Repairs:
    """What came of a repair. `fixed`: keys of findings; `left`: why each other one was left, by key."""

    fixed: set[str] = field(default_factory=set)
    left: dict[str, str] = field(default_factory=dict)


def repair(
    examination: Examination,
    *,
    only: Iterable[str] | None = None,
    say: Say = quietly,
    patience: float = ACTION_PATIENCE,
) -> Repairs:
    """Repairs the safe findings (of the keys `only`, when given) and waits at most `patience` seconds for the actions
    that it takes. What is not over by then goes on by itself, and is said to be left."""
    wanted = None if only is None else set(only)
    chosen = [finding for finding in examination.findings if wanted is None or finding.key in wanted]
    repairs, begun = Repairs(), list[tuple[Action, list[Finding]]]()
    stamps = _Moving(examination.stamps)
    for finding in chosen:
        if finding.fix is None:
            repairs.left[finding.key] = "not safe to do without a person"
    for fixes, findings in _grouped(chosen):
        say(f"repairing {', '.join(finding.code.name for finding in findings)}: {_words(findings[0])}")
        try:
            action = stamps.under_guard(fixes, findings)
        except CloudError as reason:
            repairs.left |= dict.fromkeys((finding.key for finding in findings), reason.message)
            continue
        if action is None:
            repairs.fixed |= {finding.key for finding in findings}
        else:
            begun.append((action, findings))
    _await(begun, repairs, say, patience)
    return repairs


def repair_all(
    *, say: Say = quietly, host_patience: float = HOST_PATIENCE, patience: float = ACTION_PATIENCE
) -> tuple[Examination, Repairs]:
    """Examines and repairs, anew while that helps: what waits for another repair of the same target is repaired in the
    next round. All that was found in any round, and what came of it; what another round finds no more is repaired."""
    examination = examine(say=say, patience=host_patience)
    repairs = repair(examination, say=say, patience=patience)
    found = {finding.key: finding for finding in examination.findings}
    for _ in range(_ROUNDS):
        if not (repairs.fixed and any(found[key].fix for key in repairs.left)):
            break
        say("looking again")
        examination = examine(say=say, patience=host_patience)
        again = repair(examination, say=say, patience=patience)
        found |= {finding.key: finding for finding in examination.findings}
        is_progress = bool(again.fixed)
        repairs = Repairs((repairs.fixed | set(found)) - set(again.left) - examination.in_work, again.left)
        if not is_progress:
            break
    return replace(examination, findings=tuple(found.values())), repairs


def _grouped(chosen: list[Finding]) -> Iterator[tuple[list[Fix], list[Finding]]]:
    """Repairs in order, those of rows first: an action holds its target's slot. What is to be cleared of one target on
    hosts is one repair."""
    of_target: dict[UUID, list[Finding]] = defaultdict(list)
    for finding in chosen:
        if isinstance(finding.fix, Clearing):
            of_target[finding.fix.target].append(finding)
    for finding in sorted(chosen, key=lambda finding: not isinstance(finding.fix, InTransaction)):
        if isinstance(finding.fix, Clearing):
            findings = of_target.pop(finding.fix.target, [])
            if findings:
                yield [found.fix for found in findings if found.fix is not None], findings
        elif finding.fix is not None:
            yield [finding.fix], [finding]


class _Moving:
    """The moment to which the findings belong, which goes on with what the repair itself does."""

    def __init__(self, stamps: Stamps) -> None:
        self._turns = dict(stamps.turns)
        self._changed = dict(stamps.changed)

    def under_guard(self, fixes: list[Fix], findings: list[Finding]) -> Action | None:
        """Carries out one repair, or begins its action. Errors: Changed, TargetBusy; then nothing was done."""
        concerns = frozenset[UUID]().union(*(finding.concerns for finding in findings))
        with context.bound(request_id=context.new_request_id()), transaction.atomic():
            first = fixes[0]
            if isinstance(first, InTransaction):
                self._check(concerns)
                if not first.work():
                    raise Changed("It was not there any more: it changed meanwhile.")
                action = None
            else:
                action = _begin(first, [fix for fix in fixes if isinstance(fix, Clearing)])
                self._check(concerns, besides=[action.pk])
        now = Stamps.read(concerns)
        self._turns |= now.turns
        self._changed |= now.changed
        return action

    def _check(self, concerns: frozenset[UUID], besides: Iterable[UUID] = ()) -> None:
        then = Stamps(self._turns, frozenset(), self._changed)
        now = Stamps.read(concerns, besides=besides)
        # An action of the doctor's own changes its instance's row as it begins.
        if besides:
            now = Stamps(now.turns, now.busy, self._changed)
        if not then.is_quiet_until(now, concerns):
            raise Changed("Something happened to it since it was found: run the doctor again.")


def _begin(first: Fix, clearings: list[Clearing]) -> Action:
    if isinstance(first, Restoring):
        action = begin_own_action(instance_id=first.instance, operation=RestoreGuest.name)
        if action is None:
            raise Changed(f"Instance {first.instance} changed meanwhile: run the doctor again.")
        return action
    if isinstance(first, Telling):
        telling = reach.tell_anew(first.network, first.host)
        if telling is None:
            raise Changed(f"Network {first.network} is on host {first.host} no longer.")
        return telling
    if isinstance(first, CacheClearing):
        target = uuid.uuid5(_THINGS, f"{first.host} {sorted(first.what.items())}")
        return _start(ClearCache.name, target, CACHE_TARGET_TYPE, {"host": first.host, **first.what})
    remains: dict[str, dict[str, Any]] = {}
    for fix in clearings:
        there = remains.setdefault(fix.host, {"domain": False, "ports": [], "set_aside": [], "remove": []})
        there["domain"] |= fix.domain
        for name in ("ports", "set_aside", "remove"):
            there[name] += getattr(fix, name)
    return _start(ClearRemains.name, clearings[0].target, "instance", {"remains": remains})


def _start(operation: str, target: UUID, target_type: str, parameters: dict[str, Any]) -> Action:
    (action,) = start_actions(
        operation=operation,
        targets=[target],
        target_type=target_type,
        project_id="",
        user_id="",
        parameters=parameters,
    )
    return action


def _await(begun: list[tuple[Action, list[Finding]]], repairs: Repairs, say: Say, patience: float) -> None:
    waiting = {action.pk: findings for action, findings in begun}
    until = time.monotonic() + patience
    while waiting:
        ended = Action.objects.filter(pk__in=list(waiting)).exclude(state__in=LIVE)
        for action in ended:
            findings = waiting.pop(action.pk)
            say(f"action {action.operation} on {action.target_id}: {action.state}")
            keys = [finding.key for finding in findings]
            reason = _failure(action)
            if reason:
                repairs.left |= dict.fromkeys(keys, reason)
            else:
                repairs.fixed |= set(keys)
        if not waiting or time.monotonic() > until:
            break
        time.sleep(_POLL)
    for pk, findings in waiting.items():
        reason = f"action {pk} is still at work on it"
        repairs.left |= {finding.key: reason for finding in findings}


def _failure(action: Action) -> str:
    """Why the action did not repair; "" when it did."""
    if action.state != ActionState.SUCCEEDED:
        return f"action {action.pk} ended {action.state}: {(action.fault or {}).get('message', '')}"
    outputs = action.events.filter(output__isnull=False).values_list("output", flat=True)
    if any(output.get("is_removed") is False for output in outputs if isinstance(output, dict)):
        return "something asks for it, or stands on it, by now"
    return ""


def _words(finding: Finding) -> str:
    return " ".join(f"{name} {value}" for name, value in finding.objects.items() if value)
