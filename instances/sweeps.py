"""What this room does by itself: forgets rows of instances deleted long ago, with their faults; confirms resizes that
waited for longer than RESIZE_CONFIRM_WINDOW."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from cloud import context
from cloud.api.policy import ADMIN, Caller
from cloud.errors import CloudError
from instances.models import Instance, Migration, MigrationStatus
from instances.services.resize import confirm_resize
from instances.states import VmState

log = logging.getLogger(__name__)

_EVERY = 600.0  # seconds
_BATCH = 200


def forget_deleted_instances() -> None:
    """Rows of instances are kept for INSTANCE_RETENTION_DAYS (default 30) after the delete."""
    if not cache.add("instances.forget_deleted_instances", True, timeout=_EVERY):
        return
    before = timezone.now() - timedelta(days=getattr(settings, "INSTANCE_RETENTION_DAYS", 30))
    old = Instance.objects.filter(deleted_at__lt=before).order_by("deleted_at").values_list("pk", flat=True)
    Instance.objects.filter(pk__in=list(old[:_BATCH])).delete()


def confirm_overdue_resizes() -> None:
    """Confirms what waits for longer than RESIZE_CONFIRM_WINDOW seconds (0: nothing), in its user's name."""
    if settings.RESIZE_CONFIRM_WINDOW <= 0:
        return
    before = timezone.now() - timedelta(seconds=settings.RESIZE_CONFIRM_WINDOW)
    waiting = Migration.objects.filter(
        status=MigrationStatus.FINISHED,
        updated_at__lt=before,
        instance__vm_state=VmState.RESIZED,
        instance__task_state=None,
        instance__deleted_at=None,
    )
    for migration in waiting.select_related("instance").order_by("updated_at")[:_BATCH]:
        with context.bound(request_id=context.new_request_id()):
            try:
                confirm_resize(caller=_in_the_name_of(migration), instance=migration.instance)
            except CloudError as refusal:  # somebody was faster
                log.info("instance %s is not confirmed by itself: %s", migration.instance_id, refusal.message)


def _in_the_name_of(migration: Migration) -> Caller:
    """The migration's user with the rights of the cloud itself, which a lock does not keep out."""
    return Caller(
        user_id=migration.user_id,
        user_name="",
        user_domain_id="default",
        project_id=migration.project_id,
        project_name=None,
        roles=frozenset({ADMIN}),
    )


SWEEPS: tuple[tuple[str, Callable[[], object]], ...] = (
    ("instances.forget_deleted_instances", forget_deleted_instances),
    ("instances.confirm_overdue_resizes", confirm_overdue_resizes),
)
