"""Images that are made of an instance: queued by the service, published when a host brought the bytes, or dropped."""

from __future__ import annotations

from typing import Any

from cloud.images import made
from cloud.workflow.models import Action
from cloud.workflow.operation import StepContext, step
from instances.steps.row import instance_of
from scheduling.selectors import is_simulated


def drop_image(step: StepContext) -> None:
    """After it the image that this action was to make is deleted, with its bytes."""
    made.drop(step.parameters["image_id"])


@step(undo=drop_image)
def expect_image(step: StepContext) -> dict[str, Any]:
    """The image that the service queued still waits for its bytes. Raises ImageGone when a user deleted it."""
    made.require_unfinished(step.parameters["image_id"])
    return {"image_id": step.parameters["image_id"]}


@step(no_undo="the undo of expect_image deletes the image whatever it is")
def publish_image(step: StepContext) -> None:
    """After it the image is active: its bytes are those that the host brought. Raises ImageGone."""
    brought = step.outputs["upload_snapshot"]
    content = made.Content(
        size=brought["size_bytes"],
        virtual_size=brought["virtual_size_bytes"],
        md5=brought["md5"],
        sha512=brought["sha512"],
    )
    is_noted = bool(brought.get("is_noted")) and is_simulated(instance_of(step).host)
    made.publish(step.parameters["image_id"], content, is_noted=is_noted)


@step(no_undo="it is the last step, in one transaction with the end")
def rotate_backups(step: StepContext) -> dict[str, Any]:
    """After it the instance has no more backups of that type than the rotation says; the oldest are gone."""
    dropped = made.rotate_backups(
        project_id=instance_of(step).project_id,
        instance_id=step.target_id,
        backup_type=step.parameters["backup_type"],
        keep=step.parameters["rotation"],
    )
    return {"dropped": [str(image_id) for image_id in dropped]}


@step(no_undo="it is the last step, in one transaction with the end")
def drop_shelved_image(step: StepContext) -> None:
    """After it the image that the instance was shelved as is deleted: the instance has its disk again."""
    shelved = instance_of(step).shelved_image_id
    if shelved:
        made.drop(shelved)


@step(no_undo="a delete goes forward only")
def drop_images(step: StepContext) -> None:
    """After it the instance's shelved image is deleted, and so is what an action that it superseded was making."""
    drop_shelved_image.do(step)
    superseded = Action.objects.filter(target_type="instance", target_id=step.target_id, superseded_by__isnull=False)
    for parameters in superseded.values_list("parameters", flat=True):
        if "image_id" in parameters:
            made.drop_unfinished(parameters["image_id"])
