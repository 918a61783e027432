"""`reboot` of type HARD: power off and on, the domain made anew. It brings most broken guests back."""

from __future__ import annotations

from typing import Any

from cloud.workflow.operation import StepContext
from hypervisor.steps import replug_ports, run_guest, stop_guest
from instances.operations.power import PowerOperation


class HardReboot(PowerOperation):
    """The guest runs, whatever it was before; on failure it is what it was as far as it can be."""

    name = "hard_reboot"
    action = "reboot"
    verb = "hard_reboot"
    steps = (stop_guest, replug_ports, run_guest)

    def inputs(self, context: StepContext) -> dict[str, Any]:
        """Nobody is asked: the power goes."""
        return {**super().inputs(context), "stop_seconds": 0}
