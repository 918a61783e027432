"""Pages by marker: the rows after the marker's row in a total order, however rows come and go meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest

from cloud.errors import BadRequest

MAX_LIMIT = 1000
M = TypeVar("M", bound=Model)


def limit_of(query: Mapping[str, str], maximum: int = MAX_LIMIT) -> int:
    """The `limit` of a query string, at most `maximum`, which is also the default."""
    text = query.get("limit", "")
    if text == "":
        return maximum
    if not text.isdecimal() or len(text) > 9:
        raise BadRequest(f"Invalid input for query parameter limit. Value: {text[:80]!r}. It must be an integer >= 0.")
    return min(int(text), maximum)


def after(rows: QuerySet[M], order: Sequence[str], marker: M) -> QuerySet[M]:
    """The rows that follow `marker` in `order` (field names, `-` before a descending one; the last one is unique)."""
    condition, equal = Q(pk__in=[]), Q()
    for name in order:
        field = name.lstrip("-")
        value = getattr(marker, field)
        condition |= equal & Q(**{f"{field}__{'lt' if name.startswith('-') else 'gt'}": value})
        equal &= Q(**{field: value})
    return rows.filter(condition)


def page(
    rows: QuerySet[M], query: Mapping[str, str], order: Sequence[str], marker_field: str = "id"
) -> tuple[QuerySet[M], int]:
    """`rows` in order from the query's marker on, one more than the limit, and the limit.

    Take the extra row off: when it is there, there is a next page. BadRequest when the marker names no row of `rows`.
    """
    limit = limit_of(query)
    marker = query.get("marker")
    if marker:
        try:
            row = rows.filter(**{marker_field: marker}).first()
        except (ValueError, TypeError, ValidationError):
            row = None
        if row is None:
            raise BadRequest(f"marker [{marker[:80]}] not found")
        rows = after(rows, order, row)
    return rows.order_by(*order)[: limit + 1], limit


def next_link(request: HttpRequest, marker: str, limit: int) -> str:
    """The absolute address of the next page."""
    query: dict[str, Any] = {**request.GET.dict(), "marker": marker, "limit": limit}
    return f"{request.build_absolute_uri(request.path)}?{urlencode(query)}"
