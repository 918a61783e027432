"""`createImage` and `createBackup`: the image's row is written with the action, so that the reply can name it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.db import transaction

from cloud.api.policy import Caller
from cloud.errors import BadRequest
from cloud.identity.models import Project, User
from cloud.images import made
from cloud.images.changes import ATTRIBUTES, READ_ONLY
from cloud.images.models import Image
from instances import quotas
from instances.models import Instance
from instances.services.verb import check_verb, start_verb

# What an image made of an instance does not take over from the one that the instance was made from: signatures of
# other bytes, and block devices that are not in it (Nova's NON_INHERITABLE_IMAGE_PROPERTIES).
NOT_INHERITED: Final = frozenset(
    {
        *("cache_in_nova", "bittorrent", "block_device_mapping", "bdm_v2", "root_device_name"),
        *("img_signature", "img_signature_hash_method", "img_signature_key_type", "img_signature_certificate_uuid"),
        *("cinder_encryption_key_id", "cinder_encryption_key_deletion_policy", "backup_type"),
    }
)


def snapshot_instance(
    *, caller: Caller, instance: Instance, name: str, metadata: Mapping[str, str] | None = None
) -> Image:
    """Starts the making of an image of the system disk; the image, queued. `metadata` becomes properties of it.

    Raises what `start_verb` raises, QuotaExceeded and BadRequest for the metadata; then there is no image.
    """
    return _make(caller, instance, "createImage", "snapshot", name, dict(metadata or {}), {"image_type": "snapshot"})


def backup_instance(
    *,
    caller: Caller,
    instance: Instance,
    name: str,
    backup_type: str,
    rotation: int,
    metadata: Mapping[str, str] | None = None,
) -> Image:
    """The same, after which at most `rotation` backups of that type are kept, the oldest go; 0: not even this one."""
    marks = {"image_type": "backup", "backup_type": backup_type}
    rest: dict[str, Any] = {"backup_type": backup_type, "rotation": rotation}
    return _make(caller, instance, "createBackup", "backup", name, dict(metadata or {}), marks, rest)


def queue_image_of(
    caller: Caller, instance: Instance, name: str, marks: Mapping[str, str], metadata: Mapping[str, str]
) -> Image:
    """A queued image of the instance's project that says of itself what it is made of, as Nova's snapshots do."""
    inherited = {name: text for name, text in instance.image_properties.items() if name not in NOT_INHERITED}
    base = Image.objects.filter(pk=instance.image_id).first() if instance.image_id else None
    owners = {
        "owner_user_name": User.objects.filter(pk=instance.user_id).values_list("name", flat=True).first(),
        "owner_project_name": Project.objects.filter(pk=instance.project_id).values_list("name", flat=True).first(),
    }
    return made.queue_image(
        project_id=instance.project_id,
        name=name,
        min_disk=instance.disk_gib or (base.min_disk if base else 0),
        min_ram=base.min_ram if base else 0,
        properties={
            **inherited,
            **{name: text for name, text in owners.items() if text},
            **metadata,
            "base_image_ref": instance.image_id,
            "instance_uuid": str(instance.pk),
            "user_id": caller.user_id,
            "owner_id": instance.project_id,
            "image_location": "snapshot",
            "image_state": "available",
            **marks,
        },
    )


def _make(
    caller: Caller,
    instance: Instance,
    verb: str,
    operation: str,
    name: str,
    metadata: dict[str, str],
    marks: dict[str, str],
    parameters: Mapping[str, Any] | None = None,
) -> Image:
    check_verb(caller=caller, instance=instance, verb=verb)
    for key in metadata:
        if key in ATTRIBUTES or key in READ_ONLY:
            raise BadRequest(
                f"Invalid input for field/attribute metadata: {key!r} is an attribute of images and no property.",
                field="metadata",
            )
    quotas.check_metadata(instance.project_id, metadata)
    with transaction.atomic():
        image = queue_image_of(caller, instance, name, marks, metadata)
        start_verb(
            caller=caller,
            instance=instance,
            verb=verb,
            operation=operation,
            parameters={"image_id": str(image.pk), **(parameters or {})},
        )
    return image
