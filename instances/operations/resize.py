"""`resize` and `migrate`: the guest arrives elsewhere, or in another size; what it was is kept for a revert."""

from __future__ import annotations

from typing import Any

from cloud.workflow.operation import StepContext
from hypervisor.steps import (
    bring_base,
    bring_disk,
    describe_disk,
    plug_arriving,
    run_arriving,
    set_disk_aside,
    stop_leaving,
    unplug_leaving,
)
from instances.models import MigrationStatus
from instances.operations.move import MoveOperation
from instances.steps.moving import (
    change_migration,
    claim_destination,
    move_ports,
    select_destination,
    settle_resized,
)


class Resize(MoveOperation):
    """RESIZED: the guest runs (or is off, as it was) with the new flavor; on failure all is as before."""

    name = "resize"
    action = "resize"
    max_attempts = 3
    steps = (
        *(select_destination, claim_destination),
        *(describe_disk, bring_base),
        *(stop_leaving, unplug_leaving, set_disk_aside),
        *(bring_disk, move_ports, plug_arriving, run_arriving),
        settle_resized,
    )

    def failed(self, context: StepContext, fault: dict[str, Any]) -> None:
        """The instance is as it was; its migration says that it failed."""
        super().failed(context, fault)
        change_migration(context, status=MigrationStatus.ERROR)


class Migrate(Resize):
    """The same at another host, in the same size."""

    name = "migrate"
    action = "migrate"
