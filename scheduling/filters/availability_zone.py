"""Takes hosts of the zone that was asked for; any zone when none was."""

from __future__ import annotations

from django.db.models import Q

from scheduling.host_state import HostState
from scheduling.request_spec import RequestSpec


def why_not(host: HostState, spec: RequestSpec) -> str | None:
    """Which zone the host is in."""
    if spec.zone is None or host.zone == spec.zone:
        return None
    return f"Zone {spec.zone} is needed, the host is in zone {host.zone}."


def sql(spec: RequestSpec) -> Q:
    """The hosts of the zone."""
    return Q() if spec.zone is None else Q(zone=spec.zone)
