"""Takes hosts with enough free disk, overcommit included."""

from __future__ import annotations

from django.db.models import Q

from scheduling.host_state import HostState
from scheduling.request_spec import RequestSpec


def why_not(host: HostState, spec: RequestSpec) -> str | None:
    """What is needed and what is free."""
    if host.free_disk_gib >= spec.disk_gib:
        return None
    free = max(host.free_disk_gib, 0)
    return f"{spec.disk_gib} GiB of disk are needed, {free:.0f} are free of the host's {host.disk_gib}."


def sql(spec: RequestSpec) -> Q:
    """The hosts with room."""
    return Q(free_disk_gib__gte=spec.disk_gib)
