"""Hosts out of the database: the window that a decision looks at, and all hosts for explaining.

SQL decides what SQL can, orders by the weights that it can express, and gives the weights' bounds over all hosts that
passed. With one weigher (the default) that is one query, whose rows come off one index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import ExpressionWrapper, F, FloatField, Max, Min, Q, QuerySet, Subquery, Value

from cloud.workflow.models import Host
from scheduling.host_state import COLUMNS, HostState
from scheduling.models import ComputeNode
from scheduling.pipeline import Pipeline
from scheduling.request_spec import RequestSpec

Bounds = tuple[float, float]
Column = tuple[str, str, float]  # a weigher's name, its column and its multiplier


@dataclass(frozen=True)
class Window:
    """Some hosts in the order of their weights, and the bounds of each weigher that is a column, by its name."""

    hosts: list[HostState]
    bounds: dict[str, Bounds]


def first_window(spec: RequestSpec, pipeline: Pipeline, size: int) -> Window:
    """The best `size` hosts of those that pass what SQL can decide, with the bounds over all that pass.

    One query with one column: the rows come off its index in order, so that the first row holds one bound, and a look
    at the index's other end the other (left out when no other weigher is there to compare with: the scale of one does
    not matter). With several columns a query for the bounds comes before.
    """
    passing = ComputeNode.objects.filter(_condition(spec, pipeline))
    columns = _columns(pipeline)
    if len(columns) != 1 or len(pipeline.weighers) == 1:
        bounds = _aggregated(passing, columns) if len(columns) > 1 else {}
        return Window(_hosts(_ordered(passing, columns, bounds)[:size]), bounds)
    name, column, multiplier = columns[0]
    worst = passing.order_by(column if multiplier > 0 else f"-{column}").values(column)[:1]
    rows = list(_ordered(passing, columns, {}).values_list(*COLUMNS, Subquery(worst))[:size])
    if not rows:
        return Window([], {})
    ends = rows[0][COLUMNS.index(column)], rows[0][-1]
    return Window([HostState(*row[:-1]) for row in rows], {name: (min(ends), max(ends))})


def next_window(spec: RequestSpec, pipeline: Pipeline, bounds: dict[str, Bounds], offset: int, size: int) -> Window:
    """The hosts from `offset` on, in the same order."""
    rows = _ordered(ComputeNode.objects.filter(_condition(spec, pipeline)), _columns(pipeline), bounds)
    return Window(_hosts(rows[offset : offset + size]), bounds)


def _hosts(rows: QuerySet[ComputeNode]) -> list[HostState]:
    return [HostState(*row) for row in rows.values_list(*COLUMNS)]


def _columns(pipeline: Pipeline) -> list[Column]:
    return [(w.name, w.column, multiplier) for w, multiplier in pipeline.weighers if w.column is not None]


def _aggregated(rows: QuerySet[ComputeNode], columns: list[Column]) -> dict[str, Bounds]:
    ends: dict[str, Any] = {}
    for name, column, _ in columns:
        ends |= {f"low_{name}": Min(column), f"high_{name}": Max(column)}
    found = rows.aggregate(**ends)
    return {name: (found[f"low_{name}"] or 0.0, found[f"high_{name}"] or 0.0) for name, _, _ in columns}


def _condition(spec: RequestSpec, pipeline: Pipeline) -> Q:
    condition = Q()
    for item in pipeline.in_sql:
        if item.sql is not None:
            condition &= item.sql(spec)
    return condition


def _ordered(rows: QuerySet[ComputeNode], columns: list[Column], bounds: dict[str, Bounds]) -> QuerySet[ComputeNode]:
    if not columns:
        return rows.order_by("id")
    if len(columns) == 1:
        _, column, multiplier = columns[0]
        return rows.order_by(f"-{column}", "-id") if multiplier > 0 else rows.order_by(column, "id")
    weight: Any = Value(0.0)
    for name, column, multiplier in columns:
        low, high = bounds[name]
        if high > low:
            weight = weight + F(column) * Value(multiplier / (high - low))
    return rows.order_by(ExpressionWrapper(weight, output_field=FloatField()).desc(), "id")


def every_host(spec: RequestSpec) -> list[HostState]:
    """All hosts, or those that the admin named, with what is known of their services. Two queries."""
    nodes = ComputeNode.objects.order_by("host")
    services = Host.objects.select_related("service")
    if spec.host is not None:
        nodes = nodes.filter(host=spec.host)
    if spec.hypervisor_hostname is not None:
        nodes = nodes.filter(hypervisor_hostname=spec.hypervisor_hostname)
    if spec.is_forced:
        services = services.filter(name__in=nodes.values("host"))
    known: dict[str, tuple[bool, bool, str]] = {
        name: (is_up and not is_forced_down, not is_disabled, reason)
        for name, is_up, is_forced_down, is_disabled, reason in services.values_list(
            "name", "is_up", "service__is_forced_down", "service__is_disabled", "service__disabled_reason"
        )
    }
    unknown = (False, True, "")  # a node whose host the engine does not know cannot take work
    return [HostState(*[*row, *known.get(row[0], unknown)]) for row in nodes.values_list(*COLUMNS)]
