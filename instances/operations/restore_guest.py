"""What the doctor does for an instance whose domain is gone from its host: the guest is made anew, on the disk that is
there."""

from __future__ import annotations

from typing import Any

from cloud.workflow.operation import StepContext
from hypervisor.steps import replug_ports, restore_guest
from instances.models import Instance
from instances.operations.power import PowerOperation
from instances.states import OWN_VERBS, VmState
from instances.steps.row import instance_of


class RestoreGuest(PowerOperation):
    """The guest is there again and as its instance is: it runs, or is off. A PAUSED one runs, ACTIVE: its memory went
    with the domain. On failure the instance is what it was."""

    name = "restore_guest"
    action = "start"  # on the wire: there is no better word
    rule = OWN_VERBS["restore_guest"]
    steps = (replug_ports, restore_guest)

    def inputs(self, context: StepContext) -> dict[str, Any]:
        """The guest; `runs`: whether it is to run."""
        return {**super().inputs(context), "runs": should_run(instance_of(context))}

    def succeeded(self, context: StepContext) -> None:
        """As it should be, and its power state as it was seen."""
        changes: dict[str, Any] = {"power_state": self.seen_power_state(context.outputs, reversed(self.sequence))}
        if instance_of(context).vm_state == VmState.PAUSED:
            changes["vm_state"] = VmState.ACTIVE
        self.settle(context, **changes)


def should_run(instance: Instance) -> bool:
    """Whether the instance's guest is to be on."""
    if instance.vm_state == VmState.RESIZED:
        return instance.previous_vm_state == VmState.ACTIVE
    return instance.vm_state in (VmState.ACTIVE, VmState.PAUSED, VmState.RESCUED)
