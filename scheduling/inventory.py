"""What a host says of itself becomes its compute node. Called at each heartbeat: it writes only what changed."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.utils import timezone

from cloud.workflow.models import Host
from hypervisor.spec import HostInventory, decode
from scheduling.models import ComputeNode
from scheduling.services import schedulable_now

log = logging.getLogger(__name__)


def observe(host: Host, heartbeat: dict[str, Any]) -> None:
    """Creates the host's compute node at first sight, updates it when the inventory changed; one query when not.

    Zone, ratios and reserve come from settings at first sight and are the operator's afterwards.
    """
    inventory = _inventory(host, heartbeat)
    node = ComputeNode.objects.filter(host=host.name).annotate(should=schedulable_now()).first()
    if node is None:
        if inventory is not None:
            _create(host, inventory, heartbeat)
        return
    seen = _columns(host, inventory, heartbeat)
    seen["is_schedulable"] = host.is_up and bool(node.should)  # type: ignore[attr-defined]
    changed = {name: value for name, value in seen.items() if getattr(node, name) != value}
    if changed:
        ComputeNode.objects.filter(pk=node.pk).update(**changed, updated_at=timezone.now())
        if set(changed) - {"observed_free_disk_gib", "running_guests"}:
            log.info("compute node %s changed: %s", host.name, ", ".join(sorted(changed)))


def _inventory(host: Host, heartbeat: dict[str, Any]) -> HostInventory | None:
    data = heartbeat.get("inventory")
    if not data:
        return None
    try:
        return decode(HostInventory, data)
    except (TypeError, ValueError, AttributeError) as error:
        log.warning("the inventory of %s cannot be read: %s", host.name, error)
        return None


def _columns(host: Host, inventory: HostInventory | None, heartbeat: dict[str, Any]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    if inventory is not None:
        seen = {
            "vcpus": inventory.vcpus,
            "memory_mib": inventory.memory_mib,
            "disk_gib": inventory.disk_gib,
            "observed_free_disk_gib": max(inventory.disk_gib_free, 0),
            "storage_id": inventory.storage_id,
            "hypervisor_type": inventory.hypervisor_type,
            "hypervisor_version": inventory.hypervisor_version,
            "architecture": inventory.architecture,
            "cpu_info": inventory.cpu_info,
            "hypervisor_hostname": inventory.hostname or host.name,
            "host_ip": inventory.host_ip,
        }
    guests = heartbeat.get("guests")
    if isinstance(guests, (list, dict)):
        seen["running_guests"] = len(guests)
    return seen


def _create(host: Host, inventory: HostInventory, heartbeat: dict[str, Any]) -> None:
    ComputeNode.objects.get_or_create(
        host=host.name,
        defaults={
            **_columns(host, inventory, heartbeat),
            "zone": settings.DEFAULT_AVAILABILITY_ZONE,
            "reserved_memory_mib": settings.RESERVED_HOST_MEMORY_MIB,
            "cpu_ratio": settings.CPU_ALLOCATION_RATIO,
            "ram_ratio": settings.RAM_ALLOCATION_RATIO,
            "disk_ratio": settings.DISK_ALLOCATION_RATIO,
            "is_schedulable": host.is_up and not (host.service.is_disabled or host.service.is_forced_down),
        },
    )
    log.info("new compute node %s: %s vCPUs, %s MiB of RAM", host.name, inventory.vcpus, inventory.memory_mib)
