"""Prefers hosts with more free RAM: instances spread."""

from __future__ import annotations

from scheduling.host_state import HostState
from scheduling.request_spec import RequestSpec


def weigh(host: HostState, spec: RequestSpec) -> float:
    """Free RAM."""
    return host.free_memory_mib
