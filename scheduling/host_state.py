"""What the scheduler knows of a host when it decides: a snapshot, never written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostState:
    """One host. `free_*` count overcommit and what is reserved for the host; the claim decides for real."""

    host: str
    hypervisor_hostname: str
    zone: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    free_vcpus: float
    free_memory_mib: float
    free_disk_gib: float
    running_guests: int
    hypervisor_type: str
    hypervisor_version: int
    architecture: str
    storage_id: str
    is_up: bool = True
    is_enabled: bool = True
    disabled_reason: str = ""


COLUMNS = (
    "host",
    "hypervisor_hostname",
    "zone",
    "vcpus",
    "memory_mib",
    "disk_gib",
    "free_vcpus",
    "free_memory_mib",
    "free_disk_gib",
    "running_guests",
    "hypervisor_type",
    "hypervisor_version",
    "architecture",
    "storage_id",
)
