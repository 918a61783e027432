"""`revertResize`: the guest is again where and what it was, with its disk as it was then."""

from __future__ import annotations

from typing import Any

from cloud.workflow.operation import PIVOT, StepContext
from hypervisor.steps import (
    check_kept_disk,
    discard_kept,
    plug_arriving,
    put_disk_back,
    run_arriving,
    set_disk_aside,
    stop_leaving,
    unplug_leaving,
)
from instances.models import MigrationStatus
from instances.operations.move import MoveOperation
from instances.steps.moving import return_ports, settle_reverted, take_old_room_back


class RevertResize(MoveOperation):
    """ACTIVE, or STOPPED if it was before, at the source; the destination keeps nothing. On failure RESIZED as before.

    What the destination had is set aside too, by this action, until the guest is back."""

    name = "revert_resize"
    action = "revertResize"
    goes_back = True
    steps = (
        check_kept_disk,
        *(stop_leaving, unplug_leaving, set_disk_aside),
        *(put_disk_back, return_ports, plug_arriving, run_arriving),
        PIVOT,
        settle_reverted,
        *(discard_kept, take_old_room_back),
    )

    def inputs(self, context: StepContext) -> dict[str, Any]:
        """What is discarded in the end is this action's own."""
        return {**super().inputs(context), "discards_of": str(context.action.pk)}

    def succeeded(self, context: StepContext) -> None:
        """What it was before the move."""
        seen = (context.outputs.get("run_arriving") or {}).get("power_state")
        self._settled(context, seen, MigrationStatus.REVERTED)

    def failed(self, context: StepContext, fault: dict[str, Any]) -> None:
        """It waits as before."""
        super().failed(context, fault)
        self._waits_again(context)
