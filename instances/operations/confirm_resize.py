"""`confirmResize`: nothing is left of what the instance was before its resize or cold migration. All forward."""

from __future__ import annotations

from typing import Any

from cloud.workflow.operation import PIVOT, StepContext
from hypervisor.steps import discard_kept
from instances.models import MigrationStatus
from instances.operations.move import MoveOperation
from instances.steps.moving import release_old_room
from instances.steps.row import instance_of


class ConfirmResize(MoveOperation):
    """ACTIVE, or STOPPED if it was before or went off meanwhile; the source keeps nothing and holds nothing."""

    name = "confirm_resize"
    action = "confirmResize"
    steps = (PIVOT, discard_kept, release_old_room)

    def succeeded(self, context: StepContext) -> None:
        """What it was before the move, as its guest is now."""
        self._settled(context, instance_of(context).power_state, MigrationStatus.CONFIRMED)

    def failed(self, context: StepContext, fault: dict[str, Any]) -> None:
        """It waits as before."""
        super().failed(context, fault)
        self._waits_again(context)
