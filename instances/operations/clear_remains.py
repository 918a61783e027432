"""What the doctor does with what is left of an instance where it should not be: its hosts remove it, or set it aside.

The target is the instance, or the id of one that nobody knows, so that the host's fence is that of every action on it.
"""

from __future__ import annotations

from typing import Any

from cloud.workflow.operation import PIVOT, Operation, StepContext
from hypervisor.steps import Role, clear_remains


class ClearRemains(Operation):
    """What the parameter `remains` names, by host, is gone: see the step. All forward."""

    name = "clear_remains"
    action = "clearRemains"
    steps = (PIVOT, clear_remains)

    def hosts(self, role: Role, context: StepContext) -> tuple[str, ...]:
        """Those that have any."""
        return tuple(context.parameters["remains"])

    def inputs(self, context: StepContext) -> dict[str, Any]:
        """What is to go from the host that the leg is for."""
        return {"remains": context.parameters["remains"].get(context.host, {})}
