"""The filters of a list of servers, by the name of their query parameter: each narrows the rows, or is a 400."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import Any

from django.conf import settings
from django.db.models import BooleanField, F, Func, Q, QuerySet, TextField, Value
from django.http import QueryDict
from django.utils.dateparse import parse_datetime

from cloud.api.microversions import Microversion
from cloud.api.schemas import boolean
from cloud.errors import BadRequest
from cloud.networks.models import PortAddress
from instances.models import Instance
from instances.patterns import checked
from instances.selectors import instance_key
from instances.statuses import rows_with_status

V2_26, V2_66, V2_73, V2_75 = Microversion(2, 26), Microversion(2, 66), Microversion(2, 73), Microversion(2, 75)
MAX_ADDRESS_MATCHES = 10_000

Filter = Callable[[QuerySet[Instance], QueryDict, str], QuerySet[Instance]]


def flag(query: QueryDict, name: str) -> bool:
    """A boolean parameter; present without a value it is true."""
    if name not in query:
        return False
    text = query.get(name, "")
    if text == "":
        return True
    if text.lower() not in ("true", "false", "1", "0", "yes", "no", "on", "off", "t", "f"):
        raise BadRequest(
            f"Invalid input for query parameter {name}. Value: {text[:80]!r}. It is true or false.", field=name
        )
    return boolean(text) or text.lower() == "t"


class _HasTag(Func):
    """Whether a JSON list of texts has one; SQLite has no operator for it."""

    output_field = BooleanField()

    def __init__(self, column: str, tag: str) -> None:
        super().__init__(F(column), Value(tag, output_field=TextField()))

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        column, tag = self.get_source_expressions()
        sql, params = compiler.compile(column)
        value, more = compiler.compile(tag)
        return f"EXISTS (SELECT 1 FROM json_each({sql}) WHERE value = {value})", [*params, *more]

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        column, tag = self.get_source_expressions()
        sql, params = compiler.compile(column)
        value, more = compiler.compile(tag)
        return f"jsonb_exists({sql}, {value})", [*params, *more]


def _equals(field: str) -> Filter:
    return lambda rows, query, name: rows.filter(**{field: query.get(name, "")})


def _matches(field: str) -> Filter:
    return lambda rows, query, name: rows.filter(**{f"{field}__regex": checked(query.get(name, ""), name)})


def _is(field: str) -> Filter:
    return lambda rows, query, name: rows.filter(**{field: flag(query, name)})


def _id(rows: QuerySet[Instance], query: QueryDict, name: str) -> QuerySet[Instance]:
    keys = [instance_key(text) for text in query.getlist(name)]
    return rows.filter(pk__in=[key for key in keys if key])


def _status(rows: QuerySet[Instance], query: QueryDict, name: str) -> QuerySet[Instance]:
    condition = Q(pk__in=[])
    for status in query.getlist(name):
        if status.upper() == "DELETED":
            return rows  # `_scope` has seen to it
        wanted = rows_with_status(status)
        condition |= wanted if wanted is not None else Q(pk__in=[])
    return rows.filter(condition)


def _addresses(rows: QuerySet[Instance], query: QueryDict, name: str) -> QuerySet[Instance]:
    found = PortAddress.objects.filter(ip__regex=checked(query.get(name, ""), name), port__bound_by__isnull=False)
    ids = found.values_list("port__device_id", flat=True)[:MAX_ADDRESS_MATCHES]
    return rows.filter(pk__in=[key for key in map(instance_key, ids) if key])


def _access_ip(rows: QuerySet[Instance], query: QueryDict, name: str) -> QuerySet[Instance]:
    try:
        return rows.filter(access_ip_v4=str(IPv4Address(query.get(name, ""))))
    except ValueError:
        return rows.none()


def _changed(lookup: str) -> Filter:
    def narrow(rows: QuerySet[Instance], query: QueryDict, name: str) -> QuerySet[Instance]:
        return rows.filter(**{f"updated_at__{lookup}": moment(query.get(name, ""), name)})

    return narrow


def _number(field: str) -> Filter:
    def narrow(rows: QuerySet[Instance], query: QueryDict, name: str) -> QuerySet[Instance]:
        text = query.get(name, "")
        if not text.isdecimal() or len(text) > 4:
            raise BadRequest(
                f"Invalid input for query parameter {name}. Value: {text[:80]!r}. It is a number.", field=name
            )
        return rows.filter(**{field: int(text)})

    return narrow


def _task_state(rows: QuerySet[Instance], query: QueryDict, name: str) -> QuerySet[Instance]:
    text = query.get(name, "")
    return rows.filter(task_state=None) if text in ("", "None", "null") else rows.filter(task_state=text)


def _zone(rows: QuerySet[Instance], query: QueryDict, name: str) -> QuerySet[Instance]:
    zone = query.get(name, "")
    placed = Q(availability_zone=zone) | Q(availability_zone="", requested_zone=zone)
    if zone == settings.DEFAULT_AVAILABILITY_ZONE:
        placed |= Q(availability_zone="", requested_zone=None) & ~Q(host="")
    return rows.filter(placed)


def _tags(*, every: bool, without: bool) -> Filter:
    def narrow(rows: QuerySet[Instance], query: QueryDict, name: str) -> QuerySet[Instance]:
        condition = Q() if every else Q(pk__in=[])
        for tag in query.get(name, "").split(","):
            has = Q(_HasTag("tags", tag))
            condition = condition & has if every else condition | has
        return rows.exclude(condition) if without else rows.filter(condition)

    return narrow


def moment(text: str, name: str) -> datetime:
    """A time of a query string, UTC when it names no zone. BadRequest for anything else."""
    try:
        value = parse_datetime(text.strip().replace(" ", "+") if "T" in text else text.strip())
    except ValueError:
        value = None
    if value is None:
        raise BadRequest(
            f"Invalid input for query parameter {name}. Value: {text[:80]!r}. It is an ISO 8601 date and time.",
            field=name,
        )
    return value if value.tzinfo else value.replace(tzinfo=UTC)


FILTERS: dict[str, Filter] = {
    "name": _matches("display_name"),
    "display_name": _matches("display_name"),
    "description": _matches("description"),
    "display_description": _matches("description"),
    "hostname": _matches("hostname"),
    "uuid": _id,
    "status": _status,
    "vm_state": _equals("vm_state"),
    "task_state": _task_state,
    "power_state": _number("power_state"),
    "flavor": _equals("flavor_id"),
    "image": _equals("image_id"),
    "user_id": _equals("user_id"),
    "reservation_id": _equals("reservation_id"),
    "key_name": _equals("key_name"),
    "launch_index": _number("launch_index"),
    "config_drive": _is("config_drive"),
    "locked": _is("is_locked"),
    "availability_zone": _zone,
    "ip": _addresses,
    "ip6": lambda rows, query, name: rows.none(),  # no network has IPv6 yet
    "access_ip_v4": _access_ip,
    "changes-since": _changed("gte"),
    "changes-before": _changed("lte"),
    "tags": _tags(every=True, without=False),
    "tags-any": _tags(every=False, without=False),
    "not-tags": _tags(every=True, without=True),
    "not-tags-any": _tags(every=False, without=True),
}
SINCE = {
    "tags": V2_26,
    "tags-any": V2_26,
    "not-tags": V2_26,
    "not-tags-any": V2_26,
    "changes-before": V2_66,
    "locked": V2_73,
}
# Taken and without effect, as they are for Nova's own tenants.
_IGNORED = frozenset(
    {"progress", "created_at", "launched_at", "terminated_at", "root_device_name", "kernel_id", "ramdisk_id"}
)
_KNOWN = frozenset(
    {
        "all_tenants",
        "all_projects",
        "project_id",
        "tenant_id",
        "deleted",
        "host",
        "node",
        "limit",
        "marker",
        "page_size",
    }
    | {"sort_key", "sort_dir", "soft_deleted"}
    | set(FILTERS)
    | _IGNORED
)


def check_known(query: QueryDict, version: Microversion) -> None:
    """BadRequest for a parameter that is none, from 2.75 on; before that it has no effect."""
    if version < V2_75:
        return
    for name in query:
        if name not in _KNOWN:
            raise BadRequest(
                f"Invalid input for query parameters: additional properties are not allowed ({name[:80]!r} was "
                "unexpected).",
                field=name[:80],
            )
