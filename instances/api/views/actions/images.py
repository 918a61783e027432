"""`createImage` and `createBackup`."""

from __future__ import annotations

from rest_framework.response import Response

from instances import services
from instances.api.links import image_url
from instances.api.schemas import images as schemas
from instances.api.views.base import InstancesView
from instances.models import Instance


def create_image(view: InstancesView, instance: Instance) -> Response:
    """An image of the server's disk; the reply names it before it is made."""
    asked = view.body(schemas.CREATE_IMAGE)["createImage"]
    image = services.snapshot_instance(
        caller=view.caller, instance=instance, name=asked["name"], metadata=asked.get("metadata")
    )
    return _named(view, str(image.pk))


def create_backup(view: InstancesView, instance: Instance) -> Response:
    """The same, with rotation. With a rotation of 0 nothing is kept that the reply could name."""
    asked = view.body(schemas.CREATE_BACKUP)["createBackup"]
    rotation = int(asked["rotation"])
    image = services.backup_instance(
        caller=view.caller,
        instance=instance,
        name=asked["name"],
        backup_type=asked["backup_type"],
        rotation=rotation,
        metadata=asked.get("metadata"),
    )
    return _named(view, str(image.pk) if rotation else None)


def _named(view: InstancesView, image_id: str | None) -> Response:
    """202 with the image's address in a header, from 2.45 with its id in the body."""
    if view.version.minor >= 45:
        return Response({"image_id": image_id}, status=202)
    return Response(status=202, headers={"Location": image_url(image_id)} if image_id else None)


ACTIONS = {"createImage": create_image, "createBackup": create_backup}
