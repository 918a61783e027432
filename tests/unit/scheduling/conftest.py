"""Hosts to schedule to, and what is asked for."""

from __future__ import annotations

import uuid
from typing import Any

from django.utils import timezone

from cloud.workflow.models import Host, Service
from scheduling.host_state import HostState
from scheduling.models import ComputeNode
from scheduling.request_spec import RequestSpec


def spec(**changes: Any) -> RequestSpec:
    wanted: dict[str, Any] = {"vcpus": 1, "memory_mib": 512, "disk_gib": 1}
    return RequestSpec(**{"instance_id": uuid.uuid4(), "project_id": "p" * 32, **wanted, **changes})


def state(**changes: Any) -> HostState:
    known: dict[str, Any] = {
        "host": "h1",
        "hypervisor_hostname": "h1.example",
        "zone": "nova",
        "vcpus": 8,
        "memory_mib": 8192,
        "disk_gib": 100,
        "free_vcpus": 8.0,
        "free_memory_mib": 8192.0,
        "free_disk_gib": 100.0,
        "running_guests": 0,
        "hypervisor_type": "simulated",
        "hypervisor_version": 7002000,
        "architecture": "x86_64",
        "storage_id": "s1",
    }
    return HostState(**{**known, **changes})


def make_node(name: str = "h1", **changes: Any) -> ComputeNode:
    """A compute node whose host is up and enabled. Ratios are 1, so that what it has is what it can give."""
    known: dict[str, Any] = {
        "hypervisor_hostname": f"{name}.example",
        "zone": "nova",
        "vcpus": 8,
        "memory_mib": 8192,
        "disk_gib": 100,
        "is_schedulable": True,
        "hypervisor_type": "simulated",
    }
    service = Service.objects.create(binary="nova-compute", host=name, last_seen_at=timezone.now())
    Host.objects.create(name=name, service=service, is_up=True)
    node = ComputeNode.objects.create(host=name, **{**known, **changes})
    node.refresh_from_db()
    return node
