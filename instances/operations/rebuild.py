"""`rebuild`: the same instance on a new disk: id, host, ports, addresses and flavor stay."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from cloud.workflow.operation import PIVOT, StepContext
from hypervisor.steps import fetch_image, forget_old_disk, replace_disk, replug_ports, settle_guest, stop_guest
from instances.models import Instance
from instances.operations.remake import RemakeOperation
from instances.states import VmState
from instances.steps.row import instance_of


class Rebuild(RemakeOperation):
    """A stopped instance stays stopped, any other ends ACTIVE; on failure the old disk is back, the guest as it was.

    What the request changes of the row is in the parameter `changes`, by column.
    """

    name = "rebuild"
    action = "rebuild"
    steps = (fetch_image, stop_guest, replace_disk, replug_ports, settle_guest, PIVOT, forget_old_disk)

    def changes(self, context: StepContext) -> dict[str, Any]:
        """What was asked for."""
        changes: dict[str, Any] = context.parameters["changes"]
        return changes

    def runs(self, instance: Instance) -> bool:
        """Unless it was stopped."""
        return instance.vm_state != VmState.STOPPED

    def is_asked_to_stop(self) -> bool:
        """Its disk is thrown away: nothing on it needs to be put in order."""
        return False

    def succeeded(self, context: StepContext) -> None:
        """The row is what was asked for; ACTIVE, launched now; or STOPPED as before."""
        power_state = self.seen_power_state(context.outputs, reversed(self.sequence))
        runs = self.runs(instance_of(context))
        self.settle(
            context,
            **self.changes(context),
            vm_state=VmState.ACTIVE if runs else VmState.STOPPED,
            power_state=power_state,
            **({"launched_at": timezone.now()} if runs else {}),
        )
