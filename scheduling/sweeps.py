"""What this room repairs on its own, a few seconds after it went wrong. Each may run at any time, and twice."""

from __future__ import annotations

from collections.abc import Callable

from django.core.cache import cache

from scheduling.services import recount_usage, refresh_schedulable

RECOUNT_EVERY = 60  # seconds, in one process: it reads every compute node, and what it repairs should not happen


def refresh_schedulable_hosts() -> int:
    """Hosts that went down or came up since: the scheduler must know."""
    return refresh_schedulable()


def recount_usage_now_and_then() -> int:
    """Counters that are not the sum of their allocations."""
    return recount_usage() if cache.add("scheduling.recount_usage", True, timeout=RECOUNT_EVERY) else 0


SWEEPS: tuple[tuple[str, Callable[[], object]], ...] = (
    ("scheduling.refresh_schedulable_hosts", refresh_schedulable_hosts),
    ("scheduling.recount_usage", recount_usage_now_and_then),
)
