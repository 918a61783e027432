"""Who gets the room: one conditional write per candidate, no long lock. Allocations and counters change together.

Inside a transaction these make no savepoint of their own: the engine runs each step in one, and an error ends that.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from cloud.errors import Reschedule
from cloud.workflow.models import Host
from scheduling.models import Allocation, ComputeNode
from scheduling.request_spec import RequestSpec

log = logging.getLogger(__name__)


class CandidatesTaken(Reschedule):
    """Every candidate filled up, went down or reached its group's limit between the choice and the claim."""

    code = "scheduling.candidates_taken"


class _GroupFull(Exception):
    """The group has as many allocations on the host as it may."""


@transaction.atomic(savepoint=False)
def claim(spec: RequestSpec, candidates: Sequence[str], *, action_id: UUID) -> str:
    """The first of `candidates` that has room now, with the room taken.

    After it there is one allocation of the instance on that host. A consumer that holds the same amounts on one of the
    candidates already gets that host again: the step may be repeated. Raises CandidatesTaken when all are lost; then
    nothing is taken.
    """
    held = {row.host: row for row in Allocation.objects.filter(consumer=spec.instance_id)}
    for host in candidates:
        if host in held and host not in spec.excluded and _amounts(held[host]) == _wanted(spec):
            return host
    lost: dict[str, str] = {}
    for host in candidates:
        if host in held:
            lost[host] = "the instance holds another amount there already"
            continue
        try:
            if _take(spec, host, action_id):
                return host
            lost[host] = "it has no room left, or went down"
        except _GroupFull:
            lost[host] = f"{spec.max_per_host} of the group are on it already"
    log.info("claim for %s lost on %s", spec.instance_id, ", ".join(lost) or "no candidate")
    reasons = "; ".join(f"{host}: {reason}" for host, reason in list(lost.items())[:5])
    raise CandidatesTaken(
        f"No valid host was found. All {len(lost)} chosen hosts were taken meanwhile ({reasons}).", lost=lost
    )


def _take(spec: RequestSpec, host: str, action_id: UUID) -> bool:
    if spec.group and spec.max_per_host is not None:
        with transaction.atomic():  # a savepoint, given back when the group is full: its row lock goes with it
            return _take_row(spec, host, action_id)
    return _take_row(spec, host, action_id)


def _take_row(spec: RequestSpec, host: str, action_id: UUID) -> bool:
    rows = ComputeNode.objects.filter(
        host=host,
        free_vcpus__gte=spec.vcpus,
        free_memory_mib__gte=spec.memory_mib,
        free_disk_gib__gte=spec.disk_gib,
    )
    if spec.is_forced:  # the admin's host may be disabled, so the copied flag does not do
        rows = rows.filter(
            Exists(Host.objects.filter(name=OuterRef("host"), is_up=True, service__is_forced_down=False))
        )
    else:
        rows = rows.filter(is_schedulable=True)
    taken = rows.update(
        used_vcpus=F("used_vcpus") + spec.vcpus,
        used_memory_mib=F("used_memory_mib") + spec.memory_mib,
        used_disk_gib=F("used_disk_gib") + spec.disk_gib,
    )
    if not taken:
        return False
    if _is_group_full(spec, host):
        raise _GroupFull
    Allocation.objects.create(
        consumer=spec.instance_id,
        host=host,
        project_id=spec.project_id,
        vcpus=spec.vcpus,
        memory_mib=spec.memory_mib,
        disk_gib=spec.disk_gib,
        group=spec.group,
        max_per_host=spec.max_per_host,
        action_id=action_id,
        created_at=timezone.now(),
    )
    return True


def _is_group_full(spec: RequestSpec, host: str) -> bool:
    """Asked by a statement of its own once the row's lock is ours: it sees what the lock's last holder wrote."""
    if not spec.group or spec.max_per_host is None:
        return False
    return Allocation.objects.filter(group=spec.group, host=host).count() >= spec.max_per_host


def _amounts(row: Allocation) -> tuple[int, int, int]:
    return row.vcpus, row.memory_mib, row.disk_gib


def _wanted(spec: RequestSpec) -> tuple[int, int, int]:
    return spec.vcpus, spec.memory_mib, spec.disk_gib


@transaction.atomic(savepoint=False)
def release(consumer: UUID, host: str | None = None) -> int:
    """Gives back what `consumer` holds on `host`, or everywhere. Returns how many allocations it held.

    May run twice, and twice at once: the counters are lowered by exactly the rows that this call deleted.
    """
    rows = Allocation.objects.filter(consumer=consumer)
    if host is not None:
        rows = rows.filter(host=host)
    released = 0
    for row in rows.order_by("host"):  # hosts in one order, so that two releases cannot wait for each other
        deleted, _ = Allocation.objects.filter(pk=row.pk).delete()
        if deleted:
            ComputeNode.objects.filter(host=row.host).update(
                used_vcpus=F("used_vcpus") - row.vcpus,
                used_memory_mib=F("used_memory_mib") - row.memory_mib,
                used_disk_gib=F("used_disk_gib") - row.disk_gib,
            )
            released += 1
    return released


@transaction.atomic(savepoint=False)
def hand_over(consumer: UUID, to: UUID, host: str) -> None:
    """After it what `consumer` held on `host` is held by `to`. The room is taken all the time. May run twice."""
    if Allocation.objects.filter(consumer=consumer, host=host).update(consumer=to):
        log.info("the allocation of %s on %s is %s's now", consumer, host, to)
