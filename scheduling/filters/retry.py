"""Skips hosts that already failed this request."""

from __future__ import annotations

from django.db.models import Q

from scheduling.host_state import HostState
from scheduling.request_spec import RequestSpec


def why_not(host: HostState, spec: RequestSpec) -> str | None:
    """The reason of the failure."""
    reason = spec.excluded.get(host.host)
    return None if reason is None else f"It failed this request already: {reason or 'no reason given'}."


def sql(spec: RequestSpec) -> Q:
    """The hosts that are not excluded."""
    return ~Q(host__in=sorted(spec.excluded)) if spec.excluded else Q()
