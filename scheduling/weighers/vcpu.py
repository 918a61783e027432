"""Prefers hosts with more free vCPUs: instances spread."""

from __future__ import annotations

from scheduling.host_state import HostState
from scheduling.request_spec import RequestSpec


def weigh(host: HostState, spec: RequestSpec) -> float:
    """Free vCPUs."""
    return host.free_vcpus
