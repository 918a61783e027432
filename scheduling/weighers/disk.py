"""Prefers hosts with more free disk: instances spread."""

from __future__ import annotations

from scheduling.host_state import HostState
from scheduling.request_spec import RequestSpec


def weigh(host: HostState, spec: RequestSpec) -> float:
    """Free disk."""
    return host.free_disk_gib
