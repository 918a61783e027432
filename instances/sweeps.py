"""What this room does by itself: what was deleted softly long enough ago is deleted for good, rows of instances deleted
long ago go, shelved instances leave their hosts."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from cloud.api.policy import the_cloud_itself
from cloud.errors import CloudError
from instances.models import Instance
from instances.offloading import offload_shelved
from instances.orphaned_images import drop_orphaned_images
from instances.services.delete import delete_instance
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


SWEEPS: tuple[tuple[str, Callable[[], object]], ...] = (
    ("instances.offload_shelved", offload_shelved),
    ("instances.drop_orphaned_images", drop_orphaned_images),
    ("instances.forget_deleted_instances", forget_deleted_instances),
    ("instances.reclaim_soft_deleted", reclaim_soft_deleted),
)
