"""What the cloud does by itself for an instance whose host was rebooted: its guest comes back."""

from __future__ import annotations

from typing import Any

from cloud.workflow.operation import StepContext
from hypervisor.steps import replug_ports, resume_guest
from instances.operations.power import PowerOperation
from instances.states import OWN_VERBS, PowerState, VmState
from instances.steps.row import instance_of

# Faults that say that the host, or its hypervisor, is not there.
_AWAY = ("host.down", "step.host_silent", "lease.expired", "host.generation", "hypervisor.unreachable")


class PowerOnAgain(PowerOperation):
    """The guest runs, from memory that the host saved before it went down where there is any; the instance is what it
    was. On failure it is off, and an ACTIVE instance STOPPED. A guest that runs already is left as it is."""

    name = "power_on_again"
    action = "start"
    rule = OWN_VERBS["power_on_again"]
    steps = (replug_ports, resume_guest)

    def inputs(self, context: StepContext) -> dict[str, Any]:
        """The guest, which was off when the action began."""
        return {**super().inputs(context), "was_on": False}

    def failed(self, context: StepContext, fault: dict[str, Any]) -> None:
        """STOPPED, unless the instance waits for another verb to end what it is in (a rescue, a resize), or its host
        went away again: that is no more a wish than the first time."""
        changes: dict[str, Any] = {"power_state": self.seen_power_state(context.undone, self.sequence)}
        if changes["power_state"] is None:
            changes["power_state"] = PowerState.SHUTDOWN
        if instance_of(context).vm_state == VmState.ACTIVE and fault.get("code") not in _AWAY:
            changes["vm_state"] = VmState.STOPPED
        self.settle(context, **changes)
        self.record_fault(context, fault)
