"""Which servers a list asks for: the query string to rows, in order, from the marker on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db.models import DateTimeField, F, QuerySet, TextField, Value
from django.db.models.functions import Cast, Coalesce
from django.http import QueryDict

from cloud.api.microversions import Microversion
from cloud.api.paging import after, limit_of
from cloud.api.policy import Caller, require_project
from cloud.errors import BadRequest, Forbidden
from instances.api.server_filters import FILTERS, SINCE, V2_73, check_known, flag
from instances.models import Instance
from instances.selectors import instance_key, visible_instances
from instances.states import VmState

_EPOCH = Value(datetime(1970, 1, 1, tzinfo=UTC), output_field=DateTimeField())


def _text(expression: Any) -> Coalesce:
    return Coalesce(expression, Value(""), output_field=TextField())


# sort_key → what rows are ordered by; a null counts as the smallest value.
_SORT_KEYS: dict[str, Any] = {
    "access_ip_v4": _text(Cast("access_ip_v4", TextField())),
    "access_ip_v6": _text(Cast("access_ip_v6", TextField())),
    "auto_disk_config": F("disk_config"),
    "availability_zone": F("availability_zone"),
    "config_drive": F("config_drive"),
    "created_at": F("created_at"),
    "display_description": _text("description"),
    "display_name": F("display_name"),
    "host": F("host"),
    "hostname": F("hostname"),
    "image_ref": F("image_id"),
    "instance_type_id": F("flavor_id"),
    "key_name": _text("key_name"),
    "launch_index": F("launch_index"),
    "launched_at": Coalesce("launched_at", _EPOCH),
    "locked": F("is_locked"),
    "locked_by": F("locked_by"),
    "node": F("host"),
    "power_state": F("power_state"),
    "project_id": F("project_id"),
    "task_state": _text("task_state"),
    "terminated_at": Coalesce("terminated_at", _EPOCH),
    "updated_at": F("updated_at"),
    "user_id": F("user_id"),
    "uuid": F("id"),
    "vm_state": F("vm_state"),
}
_SORT_ALIASES = {"id": "uuid", "name": "display_name", "description": "display_description"}


def asked_rows(caller: Caller, query: QueryDict, version: Microversion) -> tuple[QuerySet[Instance], int]:
    """The rows of the page, one more than the limit, in order; and the limit.

    Raises BadRequest naming a parameter that is wrong, Forbidden for what only admins may ask.
    """
    check_known(query, version)
    rows = _scope(caller, query)
    for name, narrow in FILTERS.items():
        if name in query and not (name in SINCE and version < SINCE[name]):
            rows = narrow(rows, query, name)
    if caller.is_admin:
        for name in ("host", "node"):
            if name in query:
                rows = rows.filter(host=query.get(name, ""))
    return _page(caller, rows, query, version)


def _page(
    caller: Caller, rows: QuerySet[Instance], query: QueryDict, version: Microversion
) -> tuple[QuerySet[Instance], int]:
    limit = limit_of(query)
    keys, order = _order(query, version)
    rows = rows.annotate(**keys)
    if query.get("marker"):
        # The marker's own state may have changed since the page before: it need not pass the filters.
        key = instance_key(query.get("marker", ""))
        marker = visible_instances(caller).annotate(**keys).filter(pk=key).first() if key else None
        if marker is None:
            raise BadRequest(f"marker [{query['marker'][:80]}] not found", field="marker")
        rows = after(rows, order, marker)
    return rows.order_by(*order)[: limit + 1], limit


def _order(query: QueryDict, version: Microversion) -> tuple[dict[str, Any], list[str]]:
    """Annotations and the names to order by; ties end with the newest first."""
    wanted, directions = query.getlist("sort_key"), query.getlist("sort_dir")
    for direction in directions:
        if direction not in ("asc", "desc"):
            raise BadRequest(
                f"Invalid input for query parameter sort_dir. Value: {direction[:80]!r}. It is asc or desc.",
                field="sort_dir",
            )
    keys: dict[str, Any] = {}
    order: list[str] = []
    for position, given in enumerate(wanted):
        name = _SORT_ALIASES.get(given, given)
        if name not in _SORT_KEYS or (name == "locked" and version < V2_73):
            raise BadRequest(
                f"Invalid input for query parameter sort_key. Value: {given[:80]!r}. It is one of "
                f"{', '.join(sorted(_SORT_KEYS))}.",
                field="sort_key",
            )
        keys[f"sort_{name}"] = _SORT_KEYS[name]
        descending = directions[min(position, len(directions) - 1)] == "desc" if directions else True
        order.append(f"-sort_{name}" if descending else f"sort_{name}")
    sign = "" if directions and not wanted and directions[0] == "asc" else "-"
    return keys, [*order, f"{sign}created_at", f"{sign}id"]


# --- whose, and whether deleted ---------------------------------------------------------------------------------------


def _scope(caller: Caller, query: QueryDict) -> QuerySet[Instance]:
    """The project's instances, all for an admin who asks; deleted ones when they are asked for."""
    project_id = query.get("project_id") or query.get("tenant_id")
    is_for_all = flag(query, "all_tenants") or flag(query, "all_projects")
    if project_id is not None and project_id != caller.project_id:
        is_for_all = True
    if is_for_all and not caller.is_admin:
        raise Forbidden("Policy doesn't allow listing the servers of all projects: the role 'admin' is needed.")
    if is_for_all:
        rows = Instance.objects.order_by()
    else:
        rows = Instance.objects.order_by().filter(project_id=require_project(caller, "listing servers"))
    if project_id is not None:
        rows = rows.filter(project_id=project_id)
    asks_deleted = "DELETED" in [status.upper() for status in query.getlist("status")]
    if asks_deleted and not caller.is_admin:
        raise Forbidden("Only administrators may list deleted instances")
    if caller.is_admin and (asks_deleted or flag(query, "deleted")):
        return rows.exclude(deleted_at=None)
    if query.get("changes-since"):
        return rows  # who follows changes learns of deletes
    rows = rows.filter(deleted_at=None)
    asks_for_kept = "SOFT_DELETED" in [status.upper() for status in query.getlist("status")]
    return rows if asks_for_kept else rows.exclude(vm_state=VmState.SOFT_DELETED)
