"""Room that is put right, not asked for: what runs on a host takes its room there whether it fits or not."""

from __future__ import annotations

import logging
from uuid import UUID

from django.db import transaction
from django.db.models import F

from scheduling import claims
from scheduling.models import Allocation, ComputeNode

log = logging.getLogger(__name__)


@transaction.atomic(savepoint=False)
def hold_there(
    consumer: UUID, host: str, *, project_id: str, vcpus: int, memory_mib: int, disk_gib: int, action_id: UUID
) -> None:
    """After it `consumer` holds room on `host` and nowhere else. What it holds there already stays as it is. No filter
    and no limit is asked: it is there. May run twice."""
    claims.release(consumer, except_on=[host])
    if claims.holds(consumer, host):
        return
    Allocation.objects.create(
        consumer=consumer,
        host=host,
        project_id=project_id,
        vcpus=vcpus,
        memory_mib=memory_mib,
        disk_gib=disk_gib,
        action_id=action_id,
    )
    ComputeNode.objects.filter(host=host).update(
        used_vcpus=F("used_vcpus") + vcpus,
        used_memory_mib=F("used_memory_mib") + memory_mib,
        used_disk_gib=F("used_disk_gib") + disk_gib,
    )
    log.warning("%s holds room on host %s: it is there", consumer, host)
