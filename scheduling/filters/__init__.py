"""The filters, one file each, cheapest first. Each says why a host will not do, or None when it will.

`why_not` is the filter; `sql` says the same as a condition on `ComputeNode` where the database can, and then spares the
window in Python. `binds_forced`: it also holds for a host that an admin named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.db.models import Q

from scheduling.filters import availability_zone, compute, disk, ram, retry, vcpu
from scheduling.host_state import HostState
from scheduling.request_spec import RequestSpec

WhyNot = Callable[[HostState, RequestSpec], str | None]


@dataclass(frozen=True)
class Filter:
    """One filter as the pipeline runs it."""

    name: str
    why_not: WhyNot
    sql: Callable[[RequestSpec], Q] | None = None
    binds_forced: bool = False


FILTERS: tuple[Filter, ...] = (
    Filter("retry", retry.why_not, retry.sql, binds_forced=True),
    Filter("availability_zone", availability_zone.why_not, availability_zone.sql),
    Filter("ram", ram.why_not, ram.sql, binds_forced=True),
    Filter("disk", disk.why_not, disk.sql, binds_forced=True),
    Filter("vcpu", vcpu.why_not, vcpu.sql, binds_forced=True),
    Filter("compute", compute.why_not, compute.sql, binds_forced=True),
)
