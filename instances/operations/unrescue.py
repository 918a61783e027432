"""`unrescue`: boot from the instance's own disk again."""

from __future__ import annotations

from typing import Any

from cloud.workflow.operation import PIVOT, StepContext
from hypervisor.steps import remove_rescue_disk, replug_ports, settle_guest, stop_guest
from instances.operations.remake import RemakeOperation
from instances.states import VmState


class Unrescue(RemakeOperation):
    """The guest runs from its own disk, the rescue disk is gone; on failure it is rescued as before."""

    name = "unrescue"
    action = "unrescue"
    steps = (stop_guest, replug_ports, settle_guest, PIVOT, remove_rescue_disk)

    def changes(self, context: StepContext) -> dict[str, Any]:
        """It is not rescued."""
        return {"vm_state": VmState.ACTIVE, "rescue_image_id": ""}

    def succeeded(self, context: StepContext) -> None:
        """ACTIVE."""
        power_state = self.seen_power_state(context.outputs, reversed(self.sequence))
        self.settle(context, **self.changes(context), power_state=power_state)
