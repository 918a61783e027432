"""Hosts and services as the compute API shows them, by microversion."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cloud.api.microversions import Microversion
from cloud.workflow.models import Service
from scheduling.models import ComputeNode
from scheduling.selectors import Hypervisor, zone_of

CPU_INFO_AS_OBJECT = Microversion(2, 28)
PAGED = Microversion(2, 33)
UUIDS = Microversion(2, 53)
SERVERS_ALWAYS = Microversion(2, 75)
NO_USAGE = Microversion(2, 88)
FORCED_DOWN = Microversion(2, 11)


def show_hypervisor(hypervisor: Hypervisor, version: Microversion) -> dict[str, Any]:
    """A hypervisor as a plain list has it."""
    node, service = hypervisor.node, hypervisor.service
    return {
        "id": str(node.uuid) if version >= UUIDS else node.pk,
        "hypervisor_hostname": node.hypervisor_hostname or node.host,
        "state": "up" if hypervisor.is_up else "down",
        "status": "disabled" if service is None or service.is_disabled else "enabled",
    }


def detail_hypervisor(hypervisor: Hypervisor, version: Microversion) -> dict[str, Any]:
    """A hypervisor with all that is known of it."""
    node, service = hypervisor.node, hypervisor.service
    shown = {
        **show_hypervisor(hypervisor, version),
        "host_ip": node.host_ip,
        "hypervisor_type": node.hypervisor_type,
        "hypervisor_version": node.hypervisor_version,
        "service": {
            "host": node.host,
            "id": _service_id(service, version),
            "disabled_reason": (service.disabled_reason or None) if service else None,
        },
    }
    if version >= NO_USAGE:
        return {**shown, "uptime": None}  # hosts do not report it
    cpu_info = node.cpu_info if version >= CPU_INFO_AS_OBJECT else json.dumps(node.cpu_info)
    return {**shown, "cpu_info": cpu_info, **usage(node)}


def usage(node: ComputeNode) -> dict[str, Any]:
    """Capacity and what is taken of it, in the API's words: without overcommit, the reserve counted as used."""
    memory_used = node.used_memory_mib + node.reserved_memory_mib
    return {
        "current_workload": 0,
        "disk_available_least": node.observed_free_disk_gib,
        "free_disk_gb": node.disk_gib - node.used_disk_gib,
        "free_ram_mb": node.memory_mib - memory_used,
        "local_gb": node.disk_gib,
        "local_gb_used": node.used_disk_gib,
        "memory_mb": node.memory_mib,
        "memory_mb_used": memory_used,
        "running_vms": node.running_guests,
        "vcpus": node.vcpus,
        "vcpus_used": node.used_vcpus,
    }


def show_servers(consumers: list[UUID]) -> list[dict[str, str]]:
    """The instances on a hypervisor. Here a consumer is a bare id, and so is its name."""
    return [{"uuid": str(consumer), "name": str(consumer)} for consumer in consumers]


def _service_id(service: Service | None, version: Microversion) -> Any:
    if service is None:
        return None
    return str(service.uuid) if version >= UUIDS else service.pk


def show_service(service: Service, zones: dict[str, str], version: Microversion) -> dict[str, Any]:
    """A service of the cloud."""
    shown = {
        "id": _service_id(service, version),
        "binary": service.binary,
        "host": service.host,
        "zone": zone_of(service, zones),
        "status": "disabled" if service.is_disabled else "enabled",
        "state": "up" if service.is_up else "down",
        "updated_at": naive_time(service.last_seen_at),
        "disabled_reason": service.disabled_reason or None,
    }
    if version >= FORCED_DOWN:
        shown["forced_down"] = service.is_forced_down
    return shown


def naive_time(moment: datetime | None) -> str | None:
    """A time as this API writes it: UTC, microseconds, no zone."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") if moment else None
