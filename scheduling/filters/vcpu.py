"""Takes hosts with enough free vCPUs, overcommit included."""

from __future__ import annotations

from django.db.models import Q

from scheduling.host_state import HostState
from scheduling.request_spec import RequestSpec


def why_not(host: HostState, spec: RequestSpec) -> str | None:
    """What is needed and what is free."""
    if host.free_vcpus >= spec.vcpus:
        return None
    free = max(host.free_vcpus, 0)
    return f"{spec.vcpus} vCPUs are needed, {free:.0f} are free of the host's {host.vcpus}."


def sql(spec: RequestSpec) -> Q:
    """The hosts with room."""
    return Q(free_vcpus__gte=spec.vcpus)
