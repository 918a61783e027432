"""Skips hosts that already failed this request, and those that it must not go to."""

from __future__ import annotations

from django.db.models import Q

from scheduling.host_state import HostState
from scheduling.request_spec import RequestSpec


def why_not(host: HostState, spec: RequestSpec) -> str | None:
    """The reason of the failure, or why the host is barred."""
    if host.host in spec.barred:
        return spec.barred[host.host]
    reason = spec.excluded.get(host.host)
    return None if reason is None else f"It failed this request already: {reason or 'no reason given'}."


def sql(spec: RequestSpec) -> Q:
    """The hosts that are neither excluded nor barred."""
    out = sorted({*spec.excluded, *spec.barred})
    return ~Q(host__in=out) if out else Q()
