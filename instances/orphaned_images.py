"""Images that an action was making and nobody makes any more: an operator ended the action without its undo."""

from __future__ import annotations

import logging
from uuid import UUID

from django.db import transaction

from cloud.images import made
from cloud.images.models import Image, ImageStatus
from cloud.images.selectors import uuid_of
from cloud.workflow.models import Action
from cloud.workflow.states import LIVE

log = logging.getLogger(__name__)

_BATCH = 100


def drop_orphaned_images() -> int:
    """Drops unfinished images whose action is over; how many. Those that users queued themselves are left alone."""
    unfinished = (ImageStatus.QUEUED, ImageStatus.SAVING)
    rows = Image.objects.filter(status__in=unfinished, properties__has_key="instance_uuid").order_by("created_at")
    dropped = 0
    for image in rows[:_BATCH]:
        instance_id = uuid_of(image.properties["instance_uuid"])
        if instance_id is not None and _is_over(instance_id, image):
            with transaction.atomic():
                made.drop_unfinished(image.pk)
            log.warning("image %s of instance %s was left unfinished: dropped", image.pk, instance_id)
            dropped += 1
    return dropped


def _is_over(instance_id: UUID, image: Image) -> bool:
    makers = Action.objects.filter(
        target_type="instance", target_id=instance_id, parameters__image_id=str(image.pk)
    ).values_list("state", flat=True)
    return bool(makers) and not any(state in LIVE for state in makers)
