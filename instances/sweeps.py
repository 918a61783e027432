"""What this room does by itself: what was deleted softly long enough ago is deleted for good, rows of instances deleted
long ago go, shelved instances leave their hosts, resizes that waited too long are confirmed, and hosts that came back
in the middle of an evacuation are rid of what that left."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from cloud import context
from cloud.api.policy import ADMIN, Caller, the_cloud_itself
from cloud.errors import CloudError
from instances.left_disks import clear_after_evacuations
from instances.models import Instance, Migration, MigrationStatus
from instances.offloading import offload_shelved
from instances.orphaned_images import drop_orphaned_images
from instances.services.delete import delete_instance
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


def reclaim_soft_deleted() -> None:
    """Deletes for good what was deleted softly RECLAIM_INSTANCE_INTERVAL seconds ago or earlier; 0: nothing is kept."""
    if settings.RECLAIM_INSTANCE_INTERVAL <= 0:
        return
    before = timezone.now() - timedelta(seconds=settings.RECLAIM_INSTANCE_INTERVAL)
    due = Instance.objects.filter(vm_state=VmState.SOFT_DELETED, soft_deleted_at__lt=before, task_state=None)
    for instance in due.filter(deleted_at=None).order_by("soft_deleted_at")[:_BATCH]:
        try:
            delete_instance(caller=the_cloud_itself(instance.project_id), instance=instance)
        except CloudError as error:
            log.warning("instance %s is not reclaimed now: %s", instance.pk, error.message)


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
    ("instances.offload_shelved", offload_shelved),
    ("instances.drop_orphaned_images", drop_orphaned_images),
    ("instances.forget_deleted_instances", forget_deleted_instances),
    ("instances.reclaim_soft_deleted", reclaim_soft_deleted),
    ("instances.confirm_overdue_resizes", confirm_overdue_resizes),
    ("instances.clear_after_evacuations", clear_after_evacuations),
)
