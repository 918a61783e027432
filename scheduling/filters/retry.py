"""Skips hosts that already failed this request, and those that the caller ruled out."""

from __future__ import annotations

from django.db.models import Q

from scheduling.host_state import HostState
from scheduling.request_spec import RequestSpec


def why_not(host: HostState, spec: RequestSpec) -> str | None:
    """The reason of the failure, or the caller's."""
    if host.host in spec.ruled_out:
        return spec.ruled_out[host.host]
    reason = spec.excluded.get(host.host)
    return None if reason is None else f"It failed this request already: {reason or 'no reason given'}."


def sql(spec: RequestSpec) -> Q:
    """The hosts that are neither excluded nor ruled out."""
    skipped = {*spec.excluded, *spec.ruled_out}
    return ~Q(host__in=sorted(skipped)) if skipped else Q()
