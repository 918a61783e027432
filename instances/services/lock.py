"""Locks: a locked instance refuses most verbs of callers who are not admins. Decided here alone, in one UPDATE."""

from __future__ import annotations

from django.utils import timezone

from cloud.api.policy import Caller, require_admin, require_member
from cloud.errors import Conflict
from instances.models import Instance, LockedBy
from instances.states import VerbRule


class InstanceLocked(Conflict):
    """The instance is locked and the caller is no admin."""

    code = "instance.locked"


def check_lock(caller: Caller, instance: Instance, rule: VerbRule | None = None) -> None:
    """InstanceLocked when the lock keeps the caller from the verb (None: from changing the instance's own fields)."""
    if instance.is_locked and not caller.is_admin and (rule is None or rule.refused_when_locked):
        raise InstanceLocked(f"Instance {instance.pk} is locked", instance=str(instance.pk))


def lock_instance(*, caller: Caller, instance: Instance, reason: str | None = None) -> None:
    """Locks the instance. A lock that an admin set stays the admin's, whoever locks again."""
    require_member(caller, "locking servers")
    rows = Instance.objects.filter(pk=instance.pk)
    if not caller.is_admin:
        rows = rows.exclude(locked_by=LockedBy.ADMIN)
    by = LockedBy.ADMIN if caller.is_admin else LockedBy.OWNER
    rows.update(is_locked=True, locked_by=by, locked_reason=reason, updated_at=timezone.now())


def unlock_instance(*, caller: Caller, instance: Instance) -> None:
    """Unlocks the instance. Forbidden when an admin locked it and the caller is none."""
    require_member(caller, "unlocking servers")
    if instance.locked_by == LockedBy.ADMIN:
        require_admin(caller, "unlocking a server that an admin locked")
    Instance.objects.filter(pk=instance.pk).update(
        is_locked=False, locked_by="", locked_reason=None, updated_at=timezone.now()
    )
