"""When shelved instances leave their hosts by themselves: `SHELVED_OFFLOAD_TIME` seconds after they were shelved."""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from cloud import context
from cloud.workflow.models import Action
from cloud.workflow.services import TargetBusy, start_actions
from instances.models import Instance
from instances.states import VERBS, VmState
from instances.transitions import compare_and_set

log = logging.getLogger(__name__)

_BATCH = 50
_OPERATION = "shelve_offload"


def offload_shelved() -> int:
    """Starts the offload of those whose time is over; how many. What is asked for at the same time wins."""
    return sum(_offload(row) for row in _due().order_by("shelved_at")[:_BATCH])


def offload_if_due(instance_id: UUID) -> bool:
    """The same for one instance that was shelved this moment; the sweep comes to it when this is interrupted."""
    row = _due().filter(pk=instance_id).first()
    return row is not None and _offload(row)


def _due() -> QuerySet[Instance]:
    seconds = settings.SHELVED_OFFLOAD_TIME
    rows = Instance.objects.filter(vm_state=VmState.SHELVED, task_state=None, deleted_at=None)
    return rows.filter(shelved_at__lte=timezone.now() - timedelta(seconds=seconds)) if seconds >= 0 else rows.none()


def _offload(instance: Instance) -> bool:
    """In the name of who shelved it, under a request id of its own: the log of an instance has one action for each."""
    shelver = Action.objects.filter(target_id=instance.pk, operation="shelve").order_by("-created_at").first()
    try:
        with context.bound(request_id=context.new_request_id()), transaction.atomic():
            start_actions(
                operation=_OPERATION,
                targets=[instance.pk],
                project_id=instance.project_id,
                user_id=shelver.user_id if shelver else instance.user_id,
                parameters={},
            )
            task_state = VERBS["shelveOffload"].task_state
            if not compare_and_set(
                instance.pk, expected_vm_state=VmState.SHELVED, expected_task_state=None, task_state=task_state
            ):
                raise _Changed
    except (TargetBusy, _Changed):
        return False
    log.info("instance %s leaves host %s: it is shelved for good", instance.pk, instance.host)
    return True


class _Changed(Exception):
    """The instance is not shelved and idle any more."""
