"""Which hosts can take a running guest over from another, and of each other why not. Known before anything is touched;
the destination itself checks again, for real (`hypervisor.steps.live_migration`).
"""

from __future__ import annotations

import dataclasses
from typing import Any

from instances.models import Instance
from instances.steps.placement import request_spec
from scheduling.models import ComputeNode
from scheduling.request_spec import RequestSpec


def shares_storage(one: ComputeNode, other: ComputeNode) -> bool:
    """Both hosts see the same instance files."""
    return bool(one.storage_id) and one.storage_id == other.storage_id


def why_not(node: ComputeNode, source: ComputeNode, *, block_migration: bool | None) -> str | None:
    """Why a guest that runs on `source` cannot go on at `node`, as a sentence; None when it can.

    `block_migration`: the disk is to be copied, it is not to be, or (None) as the storage asks for.
    """
    if node.host == source.host:
        return "The instance is on this host."
    if (node.hypervisor_type, node.architecture) != (source.hypervisor_type, source.architecture):
        return (
            f"Its hypervisor is {node.hypervisor_type} on {node.architecture}, the source's "
            f"{source.hypervisor_type} on {source.architecture}."
        )
    if node.hypervisor_version < source.hypervisor_version:
        return f"Its hypervisor {node.hypervisor_version} is older than the source's {source.hypervisor_version}."
    is_shared = shares_storage(node, source)
    if block_migration is True and is_shared:
        return "It has shared storage with the source: block migration is for hosts without."
    if block_migration is False and not is_shared:
        return "It has no shared storage with the source: the disk can only come by block migration."
    return _cpu_refusal(node.cpu_info, source.cpu_info) if source.hypervisor_type == "KVM" else None


def _cpu_refusal(cpu: dict[str, Any], of_source: dict[str, Any]) -> str | None:
    """What can be told from inventories: the vendor, and between two CPUs of one model the features beyond it."""
    if cpu.get("vendor") != of_source.get("vendor"):
        return f"Its CPU is from {cpu.get('vendor')}, the source's from {of_source.get('vendor')}."
    if cpu.get("model") == of_source.get("model"):
        missing = sorted(set(of_source.get("features", ())) - set(cpu.get("features", ())))
        if missing:
            return f"Its CPU lacks features of the source's: {', '.join(missing[:5])}."
    return None


def destination_spec(
    instance: Instance,
    source: ComputeNode,
    *,
    host: str | None,
    block_migration: bool | None,
    failed: dict[str, str] | None = None,
) -> RequestSpec:
    """What the scheduler is asked for the instance's next host: `host`, which an admin named, or any that will do.
    `failed`: hosts on which this migration failed already, with what they said."""
    nodes = ComputeNode.objects.filter(host__in=[host, source.host]) if host else ComputeNode.objects.all()
    ruled_out = {
        node.host: reason for node in nodes if (reason := why_not(node, source, block_migration=block_migration))
    }
    spec = request_spec(instance, failed or {})
    return dataclasses.replace(
        spec,
        host=host,
        hypervisor_hostname=None,  # what the boot was forced to was for the boot
        zone=None if host else spec.zone,
        ruled_out=ruled_out,
    )
