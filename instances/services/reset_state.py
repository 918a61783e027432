"""`os-resetState`: an operator says what an instance is, and ends what is running on it. No action, no host."""

from __future__ import annotations

import logging

from django.db import transaction

from cloud.api.policy import Caller, require_admin
from cloud.workflow.services import end_live
from instances.models import Instance
from instances.selectors import no_such_instance
from instances.states import VmState
from instances.transitions import compare_and_set

log = logging.getLogger(__name__)

RESETTABLE = (VmState.ACTIVE, VmState.ERROR)


def reset_state(*, caller: Caller, instance: Instance, vm_state: VmState) -> None:
    """The instance is ACTIVE or in ERROR, as the caller says, and idle; a live action on it ends as FAILED.

    Forbidden for others than admins; InstanceNotFound when it was deleted a moment ago.
    """
    require_admin(caller, "resetting the state of a server")
    fault = {"code": "action.reset", "message": f"An operator reset the state to {vm_state}.", "step": "", "host": ""}
    with transaction.atomic():
        ended = end_live(target=instance.pk, fault=fault)
        if not compare_and_set(instance.pk, vm_state=vm_state, task_state=None):
            raise no_such_instance(instance.pk)
    words = f", which ended action {ended.operation} {ended.pk}" if ended else ""
    log.warning("user %s reset instance %s to %s%s", caller.user_id, instance.pk, vm_state, words)
