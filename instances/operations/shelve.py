"""`shelve`: stop the guest and make an image of its disk, so that it may leave its host."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone

from cloud.workflow.operation import StepContext
from hypervisor.steps import discard_snapshot, stop_guest, take_snapshot, upload_snapshot
from instances.offloading import offload_if_due
from instances.operations.image_making import MakesImage, image_inputs
from instances.operations.power import PowerOperation
from instances.steps.images import expect_image, publish_image


class Shelve(MakesImage, PowerOperation):
    """SHELVED: the guest is off, its disk still on its host, and an image of it with the image service.

    On failure the guest runs again if it ran. The memory of a paused guest is lost with its stop: it falls back to
    ACTIVE. That of a suspended one is kept until the domain is made anew.
    """

    name = "shelve"
    action = "shelve"
    steps = (expect_image, stop_guest, take_snapshot, upload_snapshot, discard_snapshot, publish_image)

    def inputs(self, context: StepContext) -> dict[str, Any]:
        """What a stop needs, and where the host brings the bytes."""
        return {**PowerOperation.inputs(self, context), **image_inputs(context)}

    def settle(self, context: StepContext, **changes: Any) -> None:
        """Notes the image when the instance is shelved; it leaves its host at once if settings say so."""
        if changes.get("vm_state") == self.rule.becomes:
            changes |= {"shelved_image_id": context.parameters["image_id"], "shelved_at": timezone.now()}
            transaction.on_commit(partial(offload_if_due, context.target_id), robust=True)
        super().settle(context, **changes)
