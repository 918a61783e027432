"""The query string of an image list: filters, order and page."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from django.db.models import F, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.db.models.lookups import Exact
from django.http import QueryDict
from django.utils.dateparse import parse_datetime

from cloud.errors import BadRequest
from cloud.images.lookups import HasItem
from cloud.images.models import Image, MemberStatus, Visibility
from cloud.images.selectors import uuid_of

_PAGING = {"limit", "marker", "sort", "sort_key", "sort_dir", "visibility", "member_status", "tag"}
_TEXT = {
    "name": "name",
    "status": "status",
    "disk_format": "disk_format",
    "container_format": "container_format",
    "owner": "project_id",
    "checksum": "checksum",
    "os_hash_algo": "os_hash_algo",
    "os_hash_value": "os_hash_value",
}
_NUMBERS = {
    "size_min": "size__gte",
    "size_max": "size__lte",
    "size": "size",
    "min_disk": "min_disk",
    "min_ram": "min_ram",
}
_SORT_FIELDS = (
    *("id", "name", "status", "container_format", "disk_format", "size", "virtual_size", "visibility"),
    *("created_at", "updated_at", "min_disk", "min_ram"),
)
_SORT_KEYS = {**{name: name for name in _SORT_FIELDS}, "owner": "project_id", "protected": "is_protected"}
_COMPARISONS = {"gt": "__gt", "gte": "__gte", "lt": "__lt", "lte": "__lte", "eq": "", "neq": ""}


def _bad(name: str, value: str, reason: str) -> BadRequest:
    return BadRequest(f"Invalid input for query parameter {name}. Value: {value[:80]!r}. {reason}", field=name)


def visibility_of(query: dict[str, str]) -> str | None:
    """The visibility asked for. BadRequest when there is none such."""
    value = query.get("visibility")
    if value is not None and value not in (*Visibility.values, "all"):
        raise _bad("visibility", value, f"One of {', '.join(Visibility.values)}, all.")
    return value


def member_status_of(query: dict[str, str]) -> str:
    """What the caller's project said of shared images, accepted by default. BadRequest when there is none such."""
    value = query.get("member_status", MemberStatus.ACCEPTED.value)
    if value not in (*MemberStatus.values, "all"):
        raise _bad("member_status", value, f"One of {', '.join(MemberStatus.values)}, all.")
    return value


def filtered(images: QuerySet[Image], query: dict[str, str], parameters: QueryDict) -> QuerySet[Image]:
    """The images that fit every filter; a name that is no attribute filters on the property. BadRequest."""
    for tag in parameters.getlist("tag"):
        images = images.filter(HasItem(F("tags"), tag))
    images = images.filter(is_hidden=_boolean("os_hidden", query.get("os_hidden", "false")))
    for name, value in query.items():
        if name in _PAGING or name == "os_hidden":
            continue
        if name == "id":
            ids = [key for key in map(uuid_of, _choices(value)) if key]
            images = images.filter(pk__in=ids)
        elif name in _TEXT:
            images = images.filter(**{f"{_TEXT[name]}__in": _choices(value)})
        elif name in _NUMBERS:
            images = images.filter(**{_NUMBERS[name]: _number(name, value)})
        elif name == "protected":
            images = images.filter(is_protected=_boolean(name, value))
        elif name in ("created_at", "updated_at"):
            images = images.filter(_at(name, value))
        else:
            images = images.filter(Exact(KeyTextTransform(name, "properties"), value))
    return images


def order(query: dict[str, str], parameters: QueryDict) -> tuple[str, ...]:
    """Field names for a total order: `sort=name:asc,…`, or `sort_key` and `sort_dir`; newest first by default."""
    if "sort" in query:
        pairs = [part.partition(":")[::2] for part in query["sort"].split(",")]
    else:
        keys = parameters.getlist("sort_key") or ["created_at"]
        directions = parameters.getlist("sort_dir") or ["desc"]
        if len(directions) not in (1, len(keys)):
            raise _bad("sort_dir", ",".join(directions), "Give one, or one for each sort_key.")
        directions = directions * len(keys) if len(directions) == 1 else directions
        pairs = list(zip(keys, directions, strict=True))
    names: dict[str, str] = {}
    for key, direction in pairs:
        if key.strip() not in _SORT_KEYS:
            raise _bad("sort_key", key, f"One of {', '.join(sorted(_SORT_KEYS))}.")
        if (direction or "desc") not in ("asc", "desc"):
            raise _bad("sort_dir", direction, "asc or desc.")
        names.setdefault(_SORT_KEYS[key.strip()], "-" if (direction or "desc") == "desc" else "")
    names.setdefault("id", list(names.values())[-1])
    return tuple(sign + name for name, sign in names.items())


def _choices(value: str) -> list[str]:
    """`in:a,b` as its parts, of which quoted ones may hold commas; else the value itself."""
    if not value.startswith("in:"):
        return [value]
    parts, quoted, current = [], False, ""
    for character in value.removeprefix("in:"):
        if character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            parts.append(current)
            current = ""
        else:
            current += character
    return [*parts, current]


def _number(name: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal() and len(value) <= 18):
        raise _bad(name, value, "It must be an integer >= 0.")
    return int(value)


def _boolean(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise _bad(name, value, "It must be true or false.")
    return value.lower() == "true"


def _at(name: str, value: str) -> Q:
    """`gte:2026-01-01T00:00:00Z` and its like."""
    operator, _, text = value.partition(":")
    if operator not in _COMPARISONS:
        operator, text = "eq", value
    try:
        moment: Any = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        raise _bad(name, value, "It must be an ISO 8601 time, after gt:, gte:, lt:, lte:, eq: or neq:.")
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    condition = Q(**{f"{name}{_COMPARISONS[operator]}": moment})
    return ~condition if operator == "neq" else condition
