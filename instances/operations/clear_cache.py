"""What the doctor does with what belongs to no instance on a host: a base image, a DHCP entry, an idle network."""

from __future__ import annotations

from typing import Any

from cloud.workflow.operation import PIVOT, Operation, StepContext
from hypervisor.steps import Role, clear_cache


class ClearCache(Operation):
    """What the parameters name is gone from the host: see the step. The target is that thing on that host."""

    name = "clear_cache"
    action = "clearCache"
    ends_target = True
    steps = (PIVOT, clear_cache)

    def hosts(self, role: Role, context: StepContext) -> tuple[str, ...]:
        """The one that has it."""
        return (context.parameters["host"],)

    def inputs(self, context: StepContext) -> dict[str, Any]:
        """What is to go."""
        return {name: value for name, value in context.parameters.items() if name != "host"}
