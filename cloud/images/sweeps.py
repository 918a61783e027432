"""What beat lets conductors repeat for this room: name and function; each may run twice and at any time."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from cloud.images import store, uploads
from cloud.images.models import Image, ImageStatus
from cloud.images.selectors import uuid_of

log = logging.getLogger(__name__)

DEFAULT_RETENTION_DAYS = 30
DEFAULT_STALL_SECONDS = 2 * 3600
_BATCH = 100


def purge_deleted_images(now: datetime | None = None) -> int:
    """Forgets images deleted IMAGE_RETENTION_DAYS ago, with bytes that a crash left behind. Returns how many."""
    days = int(getattr(settings, "IMAGE_RETENTION_DAYS", DEFAULT_RETENTION_DAYS))
    before = (now or timezone.now()) - timedelta(days=days)
    old = list(Image.objects.filter(status=ImageStatus.DELETED, deleted_at__lt=before)[:_BATCH])
    for image in old:
        store.remove(image.pk)
        image.delete()
    return len(old)


def reset_abandoned_uploads(now: datetime | None = None) -> int:
    """Takes images back to queued whose upload got no byte for IMAGE_UPLOAD_STALL_SECONDS. Returns how many."""
    stall = timedelta(seconds=float(getattr(settings, "IMAGE_UPLOAD_STALL_SECONDS", DEFAULT_STALL_SECONDS)))
    before = (now or timezone.now()) - stall
    stalled = Image.objects.filter(status=ImageStatus.SAVING, upload_seen_at__lt=before)[:_BATCH]
    reset = 0
    for image in stalled:
        if uploads.reset_abandoned(image=image):
            log.warning("an abandoned upload was reset: image %s", image.pk)
            reset += 1
    _remove_orphaned_parts(before)
    return reset


def _remove_orphaned_parts(before: datetime) -> None:
    """Part files that did not grow since `before` and belong to no running upload."""
    for part in Path(settings.IMAGES_DIR).glob("*.part"):
        try:
            is_old = part.stat().st_mtime < before.timestamp()
        except FileNotFoundError:
            continue
        upload_id = uuid_of(part.name.removesuffix(".part").rpartition(".")[2])
        if is_old and upload_id and not Image.objects.filter(status=ImageStatus.SAVING, upload_id=upload_id).exists():
            part.unlink(missing_ok=True)


SWEEPS = (
    ("images.purge_deleted", purge_deleted_images),
    ("images.reset_abandoned_uploads", reset_abandoned_uploads),
)
