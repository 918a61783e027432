"""Images that the cloud itself makes of instances: queued for an action, published when it is done, dropped if not.

Between the two a host brings the bytes (`uploads.receive`). Everything here may be repeated, and runs inside the
transaction of the action's turn.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from cloud.errors import Abort
from cloud.images import changes as image_changes
from cloud.images import store
from cloud.images.models import ContainerFormat, DiskFormat, Image, ImageStatus, Visibility

log = logging.getLogger(__name__)

_UNFINISHED = (ImageStatus.QUEUED, ImageStatus.SAVING)


class ImageGone(Abort):
    """The image that an action was making was deleted, or given other bytes, meanwhile."""

    code, status = "image.gone", 409


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a host says of the bytes that it made: sizes in bytes, digests in hex."""

    size: int
    virtual_size: int
    md5: str
    sha512: str


def queue_image(*, project_id: str, name: str, min_disk: int, min_ram: int, properties: Mapping[str, str]) -> Image:
    """A private qcow2 image of the project, waiting for its bytes. BadRequest for too many properties."""
    image_changes.check_limits(image_changes.Document(fields={}, properties=dict(properties)))
    return Image.objects.create(
        project_id=project_id,
        name=name,
        visibility=Visibility.PRIVATE,
        disk_format=DiskFormat.QCOW2,
        container_format=ContainerFormat.BARE,
        min_disk=min_disk,
        min_ram=min_ram,
        properties=dict(properties),
    )


def require_unfinished(image_id: uuid.UUID | str) -> None:
    """Raises ImageGone unless the image still waits for its bytes."""
    status = Image.objects.filter(pk=image_id).values_list("status", flat=True).first()
    if status not in _UNFINISHED:
        raise ImageGone(f"Image {image_id} cannot be made: it is {status or 'gone'}.", image=str(image_id))


def publish(image_id: uuid.UUID | str, content: Content, *, is_noted: bool) -> None:
    """After it the image is active, with what `content` says. Raises ImageGone when that is not what the store has.

    `is_noted`: a simulated host made no bytes and sent none; the image is active by its note alone, and a download of
    it is 404.
    """
    now = timezone.now()
    rows = Image.objects.filter(pk=image_id)
    if rows.filter(status=ImageStatus.ACTIVE, os_hash_value=content.sha512).exists():
        return
    changes = {"status": ImageStatus.ACTIVE, "updated_at": now}
    if is_noted:
        waiting = rows.filter(status=ImageStatus.QUEUED)
        changes |= {
            "size": content.size,
            "virtual_size": content.virtual_size,
            "checksum": content.md5,
            "os_hash_algo": "sha512",
            "os_hash_value": content.sha512,
        }
    else:
        waiting = rows.filter(status=ImageStatus.SAVING, upload_id=None, os_hash_value=content.sha512)
    if not waiting.update(**changes):
        raise ImageGone(
            f"Image {image_id} was deleted, or got other bytes, while it was made of an instance.", image=str(image_id)
        )
    log.info("image %s is published, %d bytes", image_id, content.size)


def drop(image_id: uuid.UUID | str) -> None:
    """After it the image is deleted whatever it was, and its bytes are gone once the transaction commits."""
    now = timezone.now()
    dropped = (
        Image.objects.filter(pk=image_id)
        .exclude(status=ImageStatus.DELETED)
        .update(
            status=ImageStatus.DELETED,
            deleted_at=now,
            updated_at=now,
            is_protected=False,
            upload_id=None,
            upload_seen_at=None,
        )
    )
    if dropped:
        key = uuid.UUID(str(image_id))
        transaction.on_commit(lambda: store.remove(key))
        log.info("image %s is dropped", image_id)


def drop_unfinished(image_id: uuid.UUID | str) -> None:
    """The same, unless the image was published."""
    if Image.objects.filter(pk=image_id, status__in=_UNFINISHED).exists():
        drop(image_id)


def rotate_backups(*, project_id: str, instance_id: uuid.UUID, backup_type: str, keep: int) -> Sequence[uuid.UUID]:
    """Drops the oldest backups of that instance and type beyond `keep`; gives their ids. Protected ones stay."""
    backups = Image.objects.filter(
        project_id=project_id,
        status=ImageStatus.ACTIVE,
        properties__image_type="backup",
        properties__backup_type=backup_type,
        properties__instance_uuid=str(instance_id),
    )
    old = [image.pk for image in backups.order_by("-created_at", "-id")[keep:] if not image.is_protected]
    for image_id in old:
        drop(image_id)
    return old
