"""Lists as Networking v2.0 has them: filters by any field, `fields`, `sort_key`, `limit`, `marker` and links."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any
from uuid import UUID

from django.db.models import Model, QuerySet
from django.http import HttpRequest, QueryDict

from cloud.api import paging
from cloud.errors import BadRequest

Filter = Callable[[QuerySet[Any], list[str]], QuerySet[Any]]
_PAGING = frozenset({"fields", "limit", "marker", "sort_key", "sort_dir", "page_reverse"})
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")


@dataclass(frozen=True)
class Listing:
    """How one collection is listed: its wire name, its filters, and the columns of its sort keys."""

    plural: str
    filters: Mapping[str, Filter]
    sortable: Mapping[str, str]
    show: Callable[[Any], dict[str, Any]]

    def answer(self, request: HttpRequest, rows: QuerySet[Any]) -> dict[str, Any]:
        """The body of the list. BadRequest for a filter, sort key or marker that is not one."""
        query = request.GET
        for name, values in query.lists():
            if name in _PAGING:
                continue
            narrow = self.filters.get(name)
            if narrow is None:
                raise BadRequest(f"Invalid input for operation: [{name[:80]!r}] is invalid attribute for filtering.")
            rows = narrow(rows, [_text(value, name) for value in values])
        return self._page(request, query, rows)

    def _page(self, request: HttpRequest, query: QueryDict, rows: QuerySet[Any]) -> dict[str, Any]:
        if query.get("page_reverse", "").lower() in _TRUE:
            raise BadRequest("Invalid input for page_reverse: pages are served forward only.")
        wanted = {name: str(query[name]) for name in ("limit", "marker") if query.get(name) not in (None, "", "0")}
        found, limit = paging.page(rows, wanted, self._order(query))
        page: list[Model] = list(found)
        shown = only_fields([self.show(row) for row in page[:limit]], query.getlist("fields"))
        body: dict[str, Any] = {self.plural: shown}
        if len(page) > limit:
            href = paging.next_link(request, str(page[limit - 1].pk), limit)
            body[f"{self.plural}_links"] = [{"rel": "next", "href": href}]
        return body

    def _order(self, query: QueryDict) -> list[str]:
        keys, directions = query.getlist("sort_key"), query.getlist("sort_dir")
        if len(directions) > len(keys):
            raise BadRequest("The number of sort_keys and sort_dirs must be same.")
        order = []
        for index, key in enumerate(keys):
            column = self.sortable.get(key)
            if column is None:
                raise BadRequest(f"{key[:80]!r} is invalid attribute for sort_keys.")
            direction = directions[index] if index < len(directions) else "asc"
            if direction not in ("asc", "desc"):
                raise BadRequest(f"{direction[:80]!r} is invalid value for sort_dirs, valid value is 'asc' or 'desc'.")
            order.append(f"-{column}" if direction == "desc" else column)
        return order if "id" in (name.lstrip("-") for name in order) else [*order, "id"]


def only_fields(shown: list[dict[str, Any]], fields: Sequence[str]) -> list[dict[str, Any]]:
    """Each row cut down to `fields`, if any are named."""
    wanted = {name for name in fields if name}
    if not wanted:
        return shown
    return [{name: value for name, value in row.items() if name in wanted} for row in shown]


def _text(value: str, name: str) -> str:
    if "\x00" in value:
        raise BadRequest(f"Invalid input for {name[:80]}. Reason: it has a NUL character.")
    return value


# --- filters ----------------------------------------------------------------------------------------------------------


def text(column: str) -> Filter:
    """Equal to one of the values."""
    return lambda rows, values: rows.filter(**{f"{column}__in": values})


def uuid(column: str) -> Filter:
    """Equal to one of the ids; what is no id matches nothing."""

    def narrow(rows: QuerySet[Any], values: list[str]) -> QuerySet[Any]:
        ids = []
        for value in values:
            try:
                ids.append(UUID(value))
            except ValueError:
                continue
        return rows.filter(**{f"{column}__in": ids})

    return narrow


def address(column: str) -> Filter:
    """Equal to one of the IPv4 addresses; what is none matches nothing (PostgreSQL would refuse to compare it)."""
    return lambda rows, values: rows.filter(**{f"{column}__in": [value for value in values if _is_ip(value)]})


def _is_ip(value: str) -> bool:
    try:
        IPv4Address(value)
    except ValueError:
        return False
    return True


def flag(column: str, name: str) -> Filter:
    """True or false."""

    def narrow(rows: QuerySet[Any], values: list[str]) -> QuerySet[Any]:
        return rows.filter(**{f"{column}__in": [_boolean(value, name) for value in values]})

    return narrow


def integer(column: str, name: str) -> Filter:
    """Equal to one of the numbers."""

    def narrow(rows: QuerySet[Any], values: list[str]) -> QuerySet[Any]:
        for value in values:
            if not value.isdecimal() or len(value) > 9:
                raise BadRequest(f"Invalid input for {name}. Reason: {value[:80]!r} is not an integer.")
        return rows.filter(**{f"{column}__in": [int(value) for value in values]})

    return narrow


def constant(shown: str) -> Filter:
    """A field that is the same in every row: all of them or none."""
    return lambda rows, values: rows if shown in (value.lower() for value in values) else rows.none()


def constant_flag(shown: bool, name: str) -> Filter:
    """A boolean field that is the same in every row."""
    return lambda rows, values: rows if shown in [_boolean(value, name) for value in values] else rows.none()


def _boolean(value: str, name: str) -> bool:
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise BadRequest(f"Invalid input for {name}. Reason: {value[:80]!r} cannot be converted to boolean.")


def fixed_ips(rows: QuerySet[Any], values: list[str]) -> QuerySet[Any]:
    """Ports by `ip_address=…`, `ip_address_substr=…` and `subnet_id=…`; all of them must hold on one address."""
    conditions: dict[str, Any] = {}
    for value in values:
        key, _, wanted = value.partition("=")
        if key == "ip_address":
            conditions.setdefault("addresses__ip__in", []).extend([wanted] if _is_ip(wanted) else [])
        elif key == "ip_address_substr":
            conditions["addresses__ip__contains"] = wanted
        elif key == "subnet_id":
            try:
                conditions.setdefault("addresses__subnet__in", []).append(UUID(wanted))
            except ValueError:
                return rows.none()
        else:
            raise BadRequest(f"Invalid input for fixed_ips. Reason: {value[:80]!r} is not ip_address=VALUE.")
    return rows.filter(**conditions).distinct()
