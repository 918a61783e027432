"""Reads about hosts for this room's API and for others: nodes, services, zones, who holds what where."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet

from cloud.errors import NotFound
from cloud.workflow.models import Service
from scheduling.models import Allocation, ComputeNode
from scheduling.services import COMPUTE

INTERNAL_ZONE = "internal"


@dataclass(frozen=True)
class Hypervisor:
    """A compute node with its service (None when the service row is gone)."""

    node: ComputeNode
    service: Service | None

    @property
    def is_up(self) -> bool:
        """Its service was seen lately."""
        return self.service is not None and self.service.is_up


def with_services(nodes: Iterable[ComputeNode]) -> list[Hypervisor]:
    """The nodes with their compute services; one more query."""
    rows = list(nodes)
    services = {s.host: s for s in Service.objects.filter(binary=COMPUTE, host__in=[node.host for node in rows])}
    return [Hypervisor(node, services.get(node.host)) for node in rows]


def compute_nodes(pattern: str | None = None) -> QuerySet[ComputeNode]:
    """All compute nodes, or those with `pattern` in their hypervisor's host name."""
    rows = ComputeNode.objects.order_by("id")
    return rows if pattern is None else rows.filter(hypervisor_hostname__contains=pattern)


def compute_node(identifier: str, by_uuid: bool) -> ComputeNode:
    """One compute node by uuid or by number. NotFound otherwise: clients ask with a name first, and read on at 404."""
    missing = NotFound(f"Compute host {identifier[:80]} could not be found.")
    try:
        if by_uuid:
            return ComputeNode.objects.get(uuid=UUID(identifier))
        if not identifier.isdecimal() or len(identifier) > 18:
            raise missing
        return ComputeNode.objects.get(pk=int(identifier))
    except (ValueError, ComputeNode.DoesNotExist):
        raise missing


def consumers_on(hosts: Collection[str]) -> dict[str, list[UUID]]:
    """Who holds an allocation on each host; hosts without have no entry. One query."""
    found: dict[str, list[UUID]] = defaultdict(list)
    rows = Allocation.objects.filter(host__in=list(hosts)).order_by("created_at", "id")
    for host, consumer in rows.values_list("host", "consumer"):
        found[host].append(consumer)
    return dict(found)


def services(binary: str | None = None, host: str | None = None) -> QuerySet[Service]:
    """The services of the cloud, in the order of their making."""
    rows = Service.objects.order_by("id")
    if binary is not None:
        rows = rows.filter(binary=binary)
    return rows if host is None else rows.filter(host=host)


def zones_of(hosts: Collection[str]) -> dict[str, str]:
    """The availability zone of each host that has a compute node."""
    return dict(ComputeNode.objects.filter(host__in=list(hosts)).values_list("host", "zone"))


def zone_of(service: Service, zones: dict[str, str]) -> str:
    """The zone of a service: its node's for a compute service, `internal` for the others."""
    if service.binary != COMPUTE:
        return INTERNAL_ZONE
    return zones.get(service.host) or str(settings.DEFAULT_AVAILABILITY_ZONE)


def availability_zones() -> dict[str, bool]:
    """Each zone that has hosts, and whether one of them is enabled; the default zone is always there."""
    zones = {settings.DEFAULT_AVAILABILITY_ZONE: False}
    for hypervisor in with_services(ComputeNode.objects.all()):
        is_enabled = hypervisor.service is not None and not hypervisor.service.is_disabled
        zones[hypervisor.node.zone] = zones.get(hypervisor.node.zone, False) or is_enabled
    return zones


def zone_exists(zone: str) -> bool:
    """Whether a request may name this zone."""
    return zone == settings.DEFAULT_AVAILABILITY_ZONE or ComputeNode.objects.filter(zone=zone).exists()


def host_exists(host: str) -> bool:
    """Whether an admin may name this host."""
    return ComputeNode.objects.filter(host=host).exists()


def is_simulated(host: str) -> bool:
    """Whether the host has the simulated driver: its guests, disks and images are notes."""
    return ComputeNode.objects.filter(host=host, hypervisor_type="simulated").exists()


def hypervisor_hostnames(hosts: Collection[str]) -> dict[str, str]:
    """The hypervisor's host name of each host that has a compute node."""
    rows = ComputeNode.objects.filter(host__in=list(hosts)).values_list("host", "hypervisor_hostname")
    return dict(rows)


def host_addresses(hosts: Collection[str]) -> dict[str, str]:
    """The address that each host gave as its own (`HOST_IP`), of those that have a compute node."""
    return dict(ComputeNode.objects.filter(host__in=list(hosts)).values_list("host", "host_ip"))


def storage_ids_of(hosts: Collection[str]) -> dict[str, str]:
    """What each host said of its instances' directory: equal ids mean shared storage, "" that it did not say."""
    return dict(ComputeNode.objects.filter(host__in=list(hosts)).values_list("host", "storage_id"))


def share_storage(host: str, other: str) -> bool:
    """Whether instances' files on one host are those on the other: it is one host, or both say the same storage id."""
    if host == other:
        return True
    ids = list(ComputeNode.objects.filter(host__in=[host, other]).values_list("storage_id", flat=True))
    return len(ids) == 2 and ids[0] == ids[1] != ""
