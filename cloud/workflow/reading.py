"""Reads what a host reports, and believes nothing that the log did not ask it for (rule R7)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cloud.workflow import tokens
from cloud.workflow.log import Log
from cloud.workflow.models import Action, ActionEvent, Host
from cloud.workflow.states import OPEN, EventState, Verb
from hypervisor import reports


class Refused(Exception):
    """A report that is not believed; nothing of it is kept."""


@dataclass(frozen=True)
class Outcome:
    """What a report comes to. `failed`: the event that failed. `behind`: the highest turn that the host has seen, when
    it refused a message of the current turn (rule R11). `misdirected`: the host has another generation."""

    failed: ActionEvent | None = None
    asked: ActionEvent | None = None
    behind: int | None = None
    misdirected: bool = False


def read_results(action: Action, turn: int, results: list[dict[str, Any]], log: Log) -> Outcome:
    """Records each result in the log. Raises Refused when one was not asked for or is not signed by its host."""
    if not results:
        raise Refused("a report without results for an action that has begun")
    outcome = Outcome()
    hosts = {host.name: host for host in Host.objects.filter(name__in={str(r.get("host")) for r in results})}
    for result in results:
        event = _event_of(action, turn, result, log, hosts)
        if event.state not in OPEN:
            raise Refused(f"{event.name} was reported twice in turn {turn}")
        status = result["status"]
        try:
            if status == "behind":
                return Outcome(behind=int(result["output"]["highest"]))
            if status == "refused":
                return Outcome(misdirected=True)
            event.output, event.error = result["output"], result["error"]
            event.started_at, event.finished_at = _time(result["started"]), _time(result["finished"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise Refused(f"malformed result of {event.name}: {error!r}") from None
        event.state = EventState.DONE if status == "done" else EventState.FAILED
        log.record(event)
        if event.state == EventState.FAILED:
            outcome = Outcome(failed=event)
        elif event.verb == Verb.ASK:
            outcome = Outcome(asked=event)
    return outcome


def _event_of(action: Action, turn: int, result: dict[str, Any], log: Log, hosts: dict[str, Host]) -> ActionEvent:
    try:
        event = log.find(int(result["seq"]), str(result["verb"]), str(result["host"]), turn)
        parts = reports.result_parts(str(action.pk), result)
        signature, host = result["signature"], hosts.get(result["host"])
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(f"malformed result: {error!r}") from None
    if event is None or result["turn"] != turn or result["generation"] != event.generation:
        raise Refused(f"the log gave no such step: {result.get('verb')} {result.get('seq')} to {result.get('host')}")
    if host is None or not reports.is_signed(signature, tokens.host_key(host), *parts):
        raise Refused(f"the result of {event.name} is not signed by {event.host}")
    return event


def _time(seconds: Any) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)
