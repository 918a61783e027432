"""`restore`: an instance that was deleted softly comes back and runs."""

from __future__ import annotations

from cloud.workflow.operation import StepContext
from hypervisor.steps import replug_ports, run_guest
from instances.models import Instance
from instances.operations.power import PowerOperation


class Restore(PowerOperation):
    """The guest runs again, whatever it did before the delete; on failure the instance stays deleted softly."""

    name = "restore"
    action = "restore"
    steps = (replug_ports, run_guest)

    def succeeded(self, context: StepContext) -> None:
        """ACTIVE, and no longer to be reclaimed."""
        super().succeeded(context)
        Instance.objects.filter(pk=context.target_id).update(soft_deleted_at=None)
