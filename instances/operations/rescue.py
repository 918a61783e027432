"""`rescue`: boot from a rescue disk, the instance's own beside it."""

from __future__ import annotations

from typing import Any

from cloud.workflow.operation import StepContext
from hypervisor.steps import create_rescue_disk, fetch_rescue_image, replug_ports, settle_guest, stop_guest
from instances.operations.remake import RemakeOperation
from instances.states import VmState


class Rescue(RemakeOperation):
    """The guest runs from a disk of the rescue image as vda, its own disk is vdb; on failure it is what it was."""

    name = "rescue"
    action = "rescue"
    steps = (fetch_rescue_image, stop_guest, create_rescue_disk, replug_ports, settle_guest)

    def changes(self, context: StepContext) -> dict[str, Any]:
        """It is rescued, with that image."""
        return {"vm_state": VmState.RESCUED, "rescue_image_id": context.parameters["image"]}

    def succeeded(self, context: StepContext) -> None:
        """RESCUED."""
        power_state = self.seen_power_state(context.outputs, reversed(self.sequence))
        self.settle(context, **self.changes(context), power_state=power_state)
