"""How a verb begins: who may, from which states, with nothing else running; then its action, in one transaction."""

from __future__ import annotations

import logging
from typing import Any

from django.db import transaction

from cloud.api.policy import Caller, require_admin, require_member
from cloud.errors import Conflict
from cloud.workflow.models import Action
from cloud.workflow.services import start_actions
from instances.models import Instance
from instances.selectors import no_such_instance
from instances.services.lock import check_lock
from instances.states import VERBS, PowerState, VerbRule
from instances.transitions import compare_and_set

log = logging.getLogger(__name__)


class WrongState(Conflict):
    """The verb does not start from the state that the instance is in."""

    code = "instance.wrong_state"


def check_verb(*, caller: Caller, instance: Instance, verb: str) -> VerbRule:
    """The verb's row of the table, when the caller may use it on this instance now: role, lock, states. Writes nothing.

    Raises Forbidden (403), InstanceLocked and WrongState (409, which names the state).
    """
    rule = VERBS[verb]
    (require_admin if rule.is_for_admins else require_member)(caller, f"'{verb}' of a server")
    check_lock(caller, instance, rule)
    reason = _refusal(instance, rule)
    if reason:
        raise WrongState(f"Cannot '{verb}' instance {instance.pk} while it is in {reason}", instance=str(instance.pk))
    return rule


def start_verb(
    *,
    caller: Caller,
    instance: Instance,
    verb: str,
    operation: str | None = None,
    parameters: dict[str, Any] | None = None,
    changes: dict[str, Any] | None = None,
) -> Action:
    """Starts the verb's action (`operation`: its name when it is not the verb's) and sets its task_state and `changes`.

    Call it after all other checks. Raises what `check_verb` raises, TargetBusy (409) when an action is alive on the
    instance, InstanceNotFound when it was deleted a moment ago; then nothing is written.
    """
    rule = check_verb(caller=caller, instance=instance, verb=verb)
    with transaction.atomic():
        (action,) = start_actions(
            operation=operation or verb,
            targets=[instance.pk],
            project_id=instance.project_id,
            user_id=caller.user_id,
            parameters=parameters or {},
        )
        if not compare_and_set(
            instance.pk,
            expected_vm_state=rule.allowed_vm_states,
            expected_task_state=None,
            **{"task_state": rule.task_state, **(changes or {})},
        ):
            now = Instance.objects.filter(pk=instance.pk, deleted_at=None).first()
            if now is None:
                raise no_such_instance(instance.pk)
            reason = _refusal(now, rule) or "another state than a moment ago"
            raise WrongState(f"Cannot '{verb}' instance {instance.pk} while it is in {reason}", instance=str(now.pk))
    log.info("instance %s: %s asked for, action %s", instance.pk, verb, action.pk)
    return action


def _refusal(instance: Instance, rule: VerbRule) -> str | None:
    """Which state forbids the verb, in words; None when none does."""
    if instance.vm_state not in rule.allowed_vm_states:
        return f"vm_state {instance.vm_state}"
    if rule.needs_idle and instance.task_state is not None:
        return f"task_state {instance.task_state}"
    if instance.power_state not in rule.allowed_power_states:
        return f"power_state {PowerState(instance.power_state).name.lower()}"
    return None
