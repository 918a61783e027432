"""Takes hosts with enough free RAM, overcommit included."""

from __future__ import annotations

from django.db.models import Q

from scheduling.host_state import HostState
from scheduling.request_spec import RequestSpec


def why_not(host: HostState, spec: RequestSpec) -> str | None:
    """What is needed and what is free."""
    if host.free_memory_mib >= spec.memory_mib:
        return None
    free = max(host.free_memory_mib, 0)
    return f"{spec.memory_mib} MiB of RAM are needed, {free:.0f} are free of the host's {host.memory_mib}."


def sql(spec: RequestSpec) -> Q:
    """The hosts with room."""
    return Q(free_memory_mib__gte=spec.memory_mib)
