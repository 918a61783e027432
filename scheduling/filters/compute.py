"""Takes hosts whose compute service is up and enabled. An admin may name a disabled host, not one that is down."""

from __future__ import annotations

from django.db.models import Q

from scheduling.host_state import HostState
from scheduling.request_spec import RequestSpec


def why_not(host: HostState, spec: RequestSpec) -> str | None:
    """Whether it is down or disabled, and why it was disabled."""
    if not host.is_up:
        return "The compute service of the host is down."
    if not host.is_enabled and not spec.is_forced:
        return f"The compute service of the host is disabled: {host.disabled_reason or 'no reason given'}."
    return None


def sql(spec: RequestSpec) -> Q:
    """The schedulable hosts."""
    return Q(is_schedulable=True)
