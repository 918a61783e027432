"""What the cloud does by itself where `UNEXPECTED_GUEST_POLICY` says `stop`: a guest that somebody set going on its
host, and that should not run, is shut down. All forward: nothing is brought back that nobody asked for."""

from __future__ import annotations

from typing import Any

from cloud.workflow.operation import PIVOT, StepContext
from hypervisor.steps import end_guest
from instances.operations.power import PowerOperation
from instances.states import OWN_VERBS, PowerState, VmState
from instances.steps.row import instance_of


class EndUnexpectedGuest(PowerOperation):
    """The guest is off. A SUSPENDED instance is STOPPED: its saved memory went into the run that ends here."""

    name = "end_unexpected_guest"
    action = "stop"
    rule = OWN_VERBS["end_unexpected_guest"]
    steps = (PIVOT, end_guest)

    def succeeded(self, context: StepContext) -> None:
        """Off."""
        changes: dict[str, Any] = {"power_state": self.seen_power_state(context.outputs, self.sequence)}
        if changes["power_state"] is None:
            changes["power_state"] = PowerState.SHUTDOWN
        if instance_of(context).vm_state == VmState.SUSPENDED:
            changes["vm_state"] = VmState.STOPPED
        self.settle(context, **changes)

    def failed(self, context: StepContext, fault: dict[str, Any]) -> None:
        """The instance is what it was; the next look at its guest begins this anew."""
        self.settle(context)
        self.record_fault(context, fault)
