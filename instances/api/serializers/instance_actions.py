"""The log of an instance as the wire's instance actions: an Action is an action, an ActionEvent an event."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cloud.api.microversions import Microversion
from cloud.workflow.models import Action, ActionEvent
from cloud.workflow.operation import wire_name
from cloud.workflow.states import ActionState, EventState, Verb
from instances.api.links import micros
from instances.api.serializers.servers import host_id

_FAILED = frozenset({ActionState.FAILED, ActionState.STUCK})


def action(row: Action, version: Microversion) -> dict[str, Any]:
    """One action without its events."""
    shown = {
        "action": wire_name(row.operation),
        "instance_uuid": str(row.target_id),
        "request_id": row.request_id,
        "user_id": row.user_id,
        "project_id": row.project_id,
        "start_time": micros(row.created_at),
        "message": "Error" if row.state in _FAILED else None,
    }
    if version.minor >= 58:
        shown["updated_at"] = micros(row.updated_at)
    return shown


def events(
    rows: Iterable[ActionEvent], version: Microversion, *, project_id: str, is_admin: bool
) -> list[dict[str, Any]]:
    """The events that the caller may see; before 2.51 only admins see any."""
    return [_event(row, version, project_id=project_id, is_admin=is_admin) for row in rows]


def _event(row: ActionEvent, version: Microversion, *, project_id: str, is_admin: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "event": row.name if row.verb == Verb.DO else f"{row.verb} {row.name}",
        "start_time": micros(row.started_at or row.given_at),
        "finish_time": micros(row.finished_at),
        "result": _result(row.state),
    }
    if is_admin:
        shown["traceback"] = None
    if version.minor >= 62:
        shown["hostId"] = host_id(project_id, row.host)
        if is_admin:
            shown["host"] = row.host or None
    if version.minor >= 84:
        shown["details"] = (row.error or {}).get("message")
    return shown


def _result(state: str) -> str | None:
    if state == EventState.DONE:
        return "Success"
    return "Error" if state in (EventState.FAILED, EventState.OWED) else None
