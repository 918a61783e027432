"""Chooses hosts: a window of the best from the database, the filters that must see each host, weights, a draw.

Reads only. What comes out are candidates, best first; `claims.claim` decides for real.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings

from scheduling.explain import Explanation, explain, no_valid_host
from scheduling.host_state import HostState
from scheduling.pipeline import Pipeline, configured
from scheduling.request_spec import RequestSpec
from scheduling.windows import Bounds, every_host, first_window, next_window

log = logging.getLogger(__name__)

WINDOW = 200
SURE_WINDOW = 64  # when no filter is left for Python, all of a window pass: fewer rows leave enough to draw from
MAX_CANDIDATES = 20  # the first one and those that a claim may fall back to


@dataclass(frozen=True)
class Selection:
    """Hosts to claim, best first; and how many hosts were left after each filter, in order, for log and action."""

    candidates: tuple[str, ...]
    left: tuple[tuple[str, int], ...]


Weighed = tuple[float, HostState]


def select_hosts(spec: RequestSpec) -> Selection:
    """The best hosts for `spec`. Raises NoValidHost with the table host × filter when no host will do."""
    pipeline = configured()
    if not spec.is_forced:
        found = _in_windows(spec, pipeline)
        if found is not None:
            return found
    explanation = explain_all(spec, pipeline)
    if not explanation.passed:
        error = no_valid_host(spec, explanation)
        log.info("no host for %s: refused by %s", spec.instance_id, explanation.counts or "nobody, there is no host")
        raise error
    # An admin's host, or room that came free while we looked.
    weighed = weigh(spec, pipeline, explanation.passed, {})
    return _selection(spec, weighed, (("all", len(explanation.passed)),))


def _in_windows(spec: RequestSpec, pipeline: Pipeline) -> Selection | None:
    size = getattr(settings, "SCHEDULER_WINDOW", WINDOW if pipeline.in_python else SURE_WINDOW)
    seen, offset = first_window(spec, pipeline, size), 0
    while True:
        hosts, left = _narrowed(spec, pipeline, seen.hosts, offset)
        if hosts:
            return _selection(spec, weigh(spec, pipeline, hosts, seen.bounds), left)
        if len(seen.hosts) < size:
            return None
        offset += size
        seen = next_window(spec, pipeline, seen.bounds, offset, size)


def explain_all(spec: RequestSpec, pipeline: Pipeline | None = None) -> Explanation:
    """What every filter says of every host; for a host that an admin named, those that bind admins."""
    pipeline = pipeline or configured()
    filters = [item for item in pipeline.filters if item.binds_forced or not spec.is_forced]
    return explain(spec, every_host(spec), filters)


def _narrowed(
    spec: RequestSpec, pipeline: Pipeline, hosts: list[HostState], offset: int
) -> tuple[list[HostState], tuple[tuple[str, int], ...]]:
    sql = "+".join(item.name for item in pipeline.in_sql) or "all"
    left = [(f"{sql} from {offset}" if offset else sql, len(hosts))]
    for item in pipeline.in_python:
        hosts = [host for host in hosts if item.why_not(host, spec) is None]
        left.append((item.name, len(hosts)))
    return hosts, tuple(left)


def weigh(
    spec: RequestSpec, pipeline: Pipeline, hosts: Sequence[HostState], bounds: dict[str, Bounds]
) -> list[Weighed]:
    """The hosts with their weights, best first, equal ones in random order.

    Each weigher is normalised over its bounds: those of all hosts where the database gave them, else of these hosts.
    """
    weights = [0.0] * len(hosts)
    for weigher, multiplier in pipeline.weighers:
        raw = [weigher.weigh(host, spec) for host in hosts]
        low, high = bounds.get(weigher.name) or (min(raw), max(raw))
        if high > low:
            factor = multiplier / (high - low)
            weights = [weight + (value - low) * factor for weight, value in zip(weights, raw, strict=True)]
    weighed = list(zip(weights, hosts, strict=True))
    random.shuffle(weighed)
    weighed.sort(key=lambda pair: pair[0], reverse=True)
    return weighed


def _selection(spec: RequestSpec, weighed: list[Weighed], left: tuple[tuple[str, int], ...]) -> Selection:
    subset = min(getattr(settings, "SCHEDULER_SUBSET_SIZE", 1), len(weighed))
    if subset > 1:
        weighed.insert(0, weighed.pop(random.randrange(subset)))
    best = weighed[: getattr(settings, "SCHEDULER_MAX_CANDIDATES", MAX_CANDIDATES)]
    log.info(
        "hosts for %s: left %s; best %s",
        spec.instance_id,
        ", ".join(f"{name} {count}" for name, count in left),
        ", ".join(f"{host.host}={weight:.3f}" for weight, host in best[:3]),
    )
    return Selection(tuple(host.host for _, host in best), left)
