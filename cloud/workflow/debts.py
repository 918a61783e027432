"""What hosts owe (rule R8): an undo, a fence or a delete's step that was theirs to do while they were down.

The action went on without it. The host is told of its debts in the answer to its hello, pays them before it takes work,
and says so in its first heartbeats; until then what the target holds there is kept.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.module_loading import import_string

from cloud import context
from cloud.workflow import legs
from cloud.workflow.giving import context_of
from cloud.workflow.log import Log
from cloud.workflow.models import Action, ActionEvent, Host
from cloud.workflow.operation import operation
from cloud.workflow.states import EventState, Verb
from hypervisor.steps import HostStep

log = logging.getLogger(__name__)


def of(host: Host) -> list[dict[str, Any]]:
    """The legs that the host owes, with tokens of its generation; each in the turn in which it was owed, so that
    it does not undo what a later turn made there."""
    events = ActionEvent.objects.filter(host=host.name, state=EventState.OWED).select_related("action").order_by("id")
    shared = _files_of_others(host, {str(event.action.target_id) for event in events})
    given = {_place(event): event.owed for event in ActionEvent.objects.filter(host=host.name, owed__isnull=False)}
    found = []
    for place, leg in groupby(sorted(events, key=_place), key=_place):
        owed, (_, turn) = list(leg), place
        action, what = owed[0].action, given.get(place) or {"inputs": {}, "outputs": {}}
        try:
            items = [(event.seq, _step(event), Verb(event.verb)) for event in owed]
        except (LookupError, TypeError) as error:
            log.error("host %s owes action %s what this release does not know: %r", host.name, action.pk, error)
            continue
        inputs = what["inputs"]
        if str(action.target_id) in shared:
            inputs = {**inputs, "keeps_files": True}
        found.append(legs.build(action, host, items, inputs, what["outputs"], turn=turn))
    return found


def _files_of_others(host: Host, targets: set[str]) -> set[str]:
    """Those of the targets whose files on the host are another host's by now, on storage that both share: the very
    action that made them here went on there, so that their maker does not tell them apart (rule R10)."""
    found: set[str] = set()
    for path in settings.WORKFLOW_FILES_OF_OTHERS:
        found |= set(import_string(path)(host.name, targets))
    return found


def _place(event: ActionEvent) -> tuple[str, int]:
    return str(event.action_id), event.turn


def _step(event: ActionEvent) -> HostStep:
    step = operation(event.action.operation).sequence[event.seq]
    if not isinstance(step, HostStep) or step.name != event.name:
        raise LookupError(f"step {event.seq} is not {event.name} any more")
    return step


def settle(host: Host, paid: list[dict[str, Any]]) -> None:
    """Takes note of what the host says of its debts. What it could not pay it goes on trying; what it has had later
    orders about is void. May be told twice."""
    for report in paid:
        with transaction.atomic():
            action = Action.objects.filter(pk=report["action"]).first()
            if action is not None:
                with context.bound(action=str(action.pk), request_id=action.request_id):
                    _settle(host, action, report)


def _settle(host: Host, action: Action, report: dict[str, Any]) -> None:
    rows = ActionEvent.objects.select_for_update().filter(
        action=action, host=host.name, turn=report["turn"], state=EventState.OWED
    )
    owed = {(event.seq, str(event.verb)): event for event in rows}
    if not owed:
        return
    for result in report["results"]:
        event = owed.get((result["seq"], result["verb"]))
        if result["status"] == "behind":
            _end(list(owed.values()), EventState.FAILED, {"code": "host.behind", "message": "later orders came first"})
            owed.clear()
            break
        if event is None:
            continue
        if result["status"] == "done":
            del owed[event.seq, str(event.verb)]
            event.output, event.started_at = result["output"], datetime.fromtimestamp(float(result["started"]), UTC)
            _end([event], EventState.DONE, None)
        else:
            log.error("host %s cannot pay its debt %s %s: %s", host.name, event.verb, event.name, result["error"])
            event.error = result["error"]
            event.save(update_fields=["error"])
    if not owed:
        ActionEvent.objects.filter(action=action, host=host.name, turn=report["turn"]).update(owed=None)
        _tell(host, action)


def _end(events: list[ActionEvent], state: EventState, error: dict[str, Any] | None) -> None:
    for event in events:
        event.state, event.error, event.finished_at = state, error, timezone.now()
        event.save(update_fields=["state", "error", "output", "started_at", "finished_at"])


def _tell(host: Host, action: Action) -> None:
    """Lets the operation know, once the host owes the target nothing."""
    left = ActionEvent.objects.filter(host=host.name, state=EventState.OWED, action__target_id=action.target_id)
    if left.exists():
        return
    log.info("host %s has paid what it owed", host.name)
    verb = operation(action.operation)
    folded = Log(action, action.events.all(), verb.sequence)
    verb.debt_paid(context_of(action, folded, {}), host.name)


def are_untold(host: Host, paid: list[dict[str, Any]]) -> bool:
    """Whether the host owes something that it was not told of: it became a debt while the host was on its way."""
    told = {(report["action"], report["turn"]) for report in paid}
    return any((leg["leg"]["action"], leg["orders"][0]["turn"]) not in told for leg in of(host))
