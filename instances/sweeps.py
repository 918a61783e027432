"""What this room does by itself: rows of instances deleted long ago go, shelved instances leave their hosts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from instances.models import Instance
from instances.offloading import offload_shelved
from instances.orphaned_images import drop_orphaned_images

_EVERY = 600.0  # seconds
_BATCH = 200


def forget_deleted_instances() -> None:
    """Rows of instances are kept for INSTANCE_RETENTION_DAYS (default 30) after the delete."""
    if not cache.add("instances.forget_deleted_instances", True, timeout=_EVERY):
        return
    before = timezone.now() - timedelta(days=getattr(settings, "INSTANCE_RETENTION_DAYS", 30))
    old = Instance.objects.filter(deleted_at__lt=before).order_by("deleted_at").values_list("pk", flat=True)
    Instance.objects.filter(pk__in=list(old[:_BATCH])).delete()


SWEEPS: tuple[tuple[str, Callable[[], object]], ...] = (
    ("instances.offload_shelved", offload_shelved),
    ("instances.drop_orphaned_images", drop_orphaned_images),
    ("instances.forget_deleted_instances", forget_deleted_instances),
)
