"""`delete`: works in every state, ends whatever runs, and may be asked for twice. With RECLAIM_INSTANCE_INTERVAL set an
idle instance is kept for that time, deleted softly, and can be restored."""

from __future__ import annotations

import logging

from django.conf import settings
from django.db import transaction

from cloud.api.policy import Caller, require_member
from cloud.workflow.models import Action
from cloud.workflow.services import supersede
from instances.models import Instance
from instances.selectors import no_such_instance
from instances.services.lock import check_lock
from instances.services.verb import start_verb
from instances.states import VERBS
from instances.transitions import compare_and_set
from instances.unfinished_moves import hosts_of_moves

log = logging.getLogger(__name__)


def request_delete(*, caller: Caller, instance: Instance) -> Action:
    """Deletes softly where that is switched on and something is there to come back to, else for good.

    For good also what is busy (a delete is always possible, and interrupts it) or deleted softly already. Errors: see
    `delete_instance` and `start_verb`.
    """
    is_kept = settings.RECLAIM_INSTANCE_INTERVAL > 0 and bool(instance.host) and instance.task_state is None
    if is_kept and instance.vm_state in VERBS["softDelete"].allowed_vm_states:
        return start_verb(caller=caller, instance=instance, verb="softDelete", operation="soft_delete")
    return delete_instance(caller=caller, instance=instance)


def restore_instance(*, caller: Caller, instance: Instance) -> Action:
    """Brings back what was deleted softly. Errors: see `start_verb`."""
    return start_verb(caller=caller, instance=instance, verb="restore")


def delete_instance(*, caller: Caller, instance: Instance) -> Action:
    """Starts the action that removes the instance from every host it may be on, or gives the one that runs.

    Raises InstanceLocked (409) for a locked instance unless the caller is an admin, InstanceNotFound when it is gone.
    """
    require_member(caller, "deleting servers")
    rule = VERBS["delete"]
    check_lock(caller, instance, rule)
    with transaction.atomic():
        action = supersede(
            operation="delete",
            target=instance.pk,
            project_id=instance.project_id,
            user_id=caller.user_id,
        )
        _name_host(action, instance)
        if not compare_and_set(
            instance.pk, expected_vm_state=rule.allowed_vm_states, task_state=rule.task_state
        ):  # it was deleted a moment ago: the new action is rolled back with this
            raise no_such_instance(instance.pk)
    log.info("instance %s is being deleted by action %s", instance.pk, action.pk)
    return action


def _name_host(action: Action, instance: Instance) -> None:
    """The action covers the host that the instance is on *now*, and both hosts of a move that is not over: read after
    the action holds the slot, since a boot that ended in between has put it there, and nothing can move it any more."""
    host = Instance.objects.values_list("host", flat=True).get(pk=instance.pk)
    hosts = list(action.parameters.get("hosts", ()))
    named = dict.fromkeys([*([host] if host and host not in hosts else []), *hosts, *hosts_of_moves(instance.pk)])
    if list(named) != hosts:
        action.parameters = {**action.parameters, "hosts": list(named)}
        action.save(update_fields=["parameters"])
