"""Actions that the cloud begins by itself: nobody asked, and no role, lock or quota stands in the way."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from django.db import transaction

from cloud import context
from cloud.workflow.models import Action
from cloud.workflow.services import TargetBusy, start_actions
from instances.models import Instance
from instances.states import OWN_VERBS
from instances.transitions import compare_and_set

log = logging.getLogger(__name__)


class _Moved(Exception):
    """The instance is in another state than a moment ago."""


def begin_own_action(*, instance_id: uuid.UUID, operation: str, **changes: Any) -> Action | None:
    """Begins `operation` on the instance and sets its task_state and `changes`; None, and nothing is changed, when
    another action holds the instance or its state does not fit any more."""
    rule = OWN_VERBS[operation]
    row = Instance.objects.filter(pk=instance_id, deleted_at=None).values("project_id").first()
    if row is None:
        return None
    with context.bound(request_id=context.new_request_id()):
        try:
            with transaction.atomic():
                (action,) = start_actions(
                    operation=operation,
                    targets=[instance_id],
                    project_id=row["project_id"],
                    user_id="",
                    parameters={},
                )
                if not compare_and_set(
                    instance_id,
                    expected_vm_state=rule.allowed_vm_states,
                    expected_task_state=None,
                    **{"task_state": rule.task_state, **changes},
                ):
                    raise _Moved
        except (TargetBusy, _Moved):
            return None
    log.info("instance %s: %s begun by the cloud itself, action %s", instance_id, operation, action.pk)
    return action
