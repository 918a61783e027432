"""What the verbs have in common that make an image of an instance's system disk."""

from __future__ import annotations

from typing import Any

from cloud.images.signed_url import upload_url
from cloud.workflow.operation import StepContext
from instances.operations.base import InstanceOperation
from instances.steps.images import drop_image


class MakesImage(InstanceOperation):
    """A verb whose parameter `image_id` is an image that its service queued. When it fails, nothing of that is left."""

    def inputs(self, context: StepContext) -> dict[str, Any]:
        """Where the host brings the bytes; the address is good until the action's deadline."""
        return image_inputs(context)

    def failed(self, context: StepContext, fault: dict[str, Any]) -> None:
        """The instance is what it was; the image is deleted, also when no step was ever given."""
        drop_image(context)
        super().failed(context, fault)


def image_inputs(context: StepContext) -> dict[str, Any]:
    """`image_id` and `upload_url`."""
    image_id = context.parameters["image_id"]
    return {"image_id": image_id, "upload_url": upload_url(image_id, context.action.deadline)}
