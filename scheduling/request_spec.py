"""What is asked of the scheduler."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID


@dataclass(frozen=True, kw_only=True)
class RequestSpec:
    """One instance that needs a host.

    `host` and `hypervisor_hostname` are named by an admin and win over weights and zones, not over capacity. `excluded`
    are hosts that failed this request already, with the reason; `ruled_out` hosts that will not do for a reason that is
    the caller's, which is a sentence.
    """

    instance_id: UUID
    project_id: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    zone: str | None = None
    host: str | None = None
    hypervisor_hostname: str | None = None
    excluded: dict[str, str] = field(default_factory=dict)
    ruled_out: dict[str, str] = field(default_factory=dict)
    image_properties: dict[str, Any] = field(default_factory=dict)
    extra_specs: dict[str, Any] = field(default_factory=dict)
    hints: dict[str, Any] = field(default_factory=dict)
    group: str = ""
    max_per_host: int | None = None

    @property
    def is_forced(self) -> bool:
        """An admin named the host."""
        return self.host is not None or self.hypervisor_hostname is not None
