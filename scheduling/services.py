"""The verbs of this room beside claims: which hosts may be scheduled to, and the counters put right."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from cloud.errors import BadRequest, Conflict
from cloud.workflow.models import Host, Service
from scheduling.models import Allocation, ComputeNode

log = logging.getLogger(__name__)

COMPUTE = "nova-compute"


class ServiceInUse(Conflict):
    """The service runs, or its host holds allocations."""

    code = "scheduling.service_in_use"


def schedulable_now() -> Exists:
    """As a condition on ComputeNode: its host is up, its service enabled and not forced down."""
    return Exists(
        Host.objects.filter(
            name=OuterRef("host"), is_up=True, service__is_disabled=False, service__is_forced_down=False
        )
    )


def refresh_schedulable(hosts: Iterable[str] | None = None) -> int:
    """Makes the copied flag of compute nodes (of `hosts`, or all) say what hosts and services say; how many changed."""
    rows = ComputeNode.objects.all()
    if hosts is not None:
        rows = rows.filter(host__in=list(hosts))
    on = rows.filter(schedulable_now(), is_schedulable=False).update(is_schedulable=True, updated_at=timezone.now())
    off = rows.filter(~schedulable_now(), is_schedulable=True).update(is_schedulable=False, updated_at=timezone.now())
    if on or off:
        log.info("%s hosts became schedulable, %s stopped being so", on, off)
    return on + off


_RESOURCES = ("vcpus", "memory_mib", "disk_gib")


def recount_usage() -> int:
    """Puts right each counter that is not the sum of its host's allocations. Returns how many hosts were off.

    Two queries when all is well.
    """
    return sum(_put_right(host) for host in _suspects())


def miscounted() -> dict[str, dict[str, int]]:
    """The hosts whose counters are wrong, and what each wrong one should be. Changes nothing; two queries when all is
    well."""
    found = {}
    for host in _suspects():
        with transaction.atomic():
            if wrong := _wrong(ComputeNode.objects.select_for_update().get(host=host)):
                found[host] = wrong
    return found


def _suspects() -> list[str]:
    """Hosts whose counters seem to be wrong: what is under way changes between two queries."""
    sums = {
        host: amounts
        for host, *amounts in Allocation.objects.values_list("host").annotate(*(Sum(name) for name in _RESOURCES))
    }
    nodes = ComputeNode.objects.values_list("host", *(f"used_{name}" for name in _RESOURCES))
    return [host for host, *used in nodes if used != sums.get(host, [0, 0, 0])]


def _wrong(node: ComputeNode) -> dict[str, int]:
    """The node's row is locked, and its allocations summed by a statement of its own: every claim and release writes
    the row, so whoever is under way has either committed or waits."""
    right = Allocation.objects.filter(host=node.host).aggregate(
        **{f"used_{name}": Coalesce(Sum(name), 0) for name in _RESOURCES}
    )
    return {name: value for name, value in right.items() if getattr(node, name) != value}


@transaction.atomic
def _put_right(host: str) -> bool:
    node = ComputeNode.objects.select_for_update().get(host=host)
    wrong = _wrong(node)
    if wrong:
        ComputeNode.objects.filter(pk=node.pk).update(**wrong, updated_at=timezone.now())
        log.warning("usage of host %s put right: %s", host, wrong)
    return bool(wrong)


@transaction.atomic
def set_service(
    *,
    service: Service,
    is_disabled: bool | None = None,
    disabled_reason: str | None = None,
    is_forced_down: bool | None = None,
) -> Service:
    """Enables, disables or forces down a compute service; None leaves as it is. The scheduler heeds it at once.

    BadRequest for a service that is not a compute service: others cannot be switched.
    """
    if service.binary != COMPUTE:
        raise BadRequest(
            f"Updating a {service.binary} service is not supported. Only {COMPUTE} services can be updated."
        )
    changes: dict[str, Any] = {}
    if is_disabled is not None:
        changes |= {"is_disabled": is_disabled, "disabled_reason": (disabled_reason or "") if is_disabled else ""}
    elif disabled_reason is not None:
        changes["disabled_reason"] = disabled_reason
    if is_forced_down is not None:
        changes["is_forced_down"] = is_forced_down
    if changes:
        Service.objects.filter(pk=service.pk).update(**changes)
        for name, value in changes.items():
            setattr(service, name, value)
        log.info("service %s on %s set: %s", service.binary, service.host, changes)
        refresh_schedulable([service.host])
    return service


@transaction.atomic
def delete_service(*, service: Service) -> None:
    """Forgets a service that no longer runs. ServiceInUse while it runs, and for every compute host (for now)."""
    if Host.objects.filter(service=service).exists():
        held = Allocation.objects.filter(host=service.host).count()
        raise ServiceInUse(
            f"Unable to delete compute service {service.uuid} of host {service.host}, which holds {held} instances: "
            "removing a compute host is not served yet. Disable it instead."
        )
    if service.is_up:
        raise ServiceInUse(f"Service {service.binary} on {service.host} is running; stop it first.")
    service.delete()
