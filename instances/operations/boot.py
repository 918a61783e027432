"""`create`: place a new instance and start its guest."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from cloud.workflow.operation import StepContext
from hypervisor.steps import create_disk, fetch_image, plug_ports, start_guest
from instances.operations.base import InstanceOperation
from instances.states import PowerState
from instances.steps.networking import bind_ports
from instances.steps.placement import claim_resources, select_host


class Boot(InstanceOperation):
    """Place a new instance and start its guest; on failure nothing stays behind but a fault."""

    name = "boot"
    action = "create"
    max_attempts = 3
    steps = (select_host, claim_resources, bind_ports, fetch_image, create_disk, plug_ports, start_guest)

    def succeeded(self, context: StepContext) -> None:
        """ACTIVE, launched now."""
        power_state = (context.outputs.get("start_guest") or {}).get("power_state", PowerState.RUNNING)
        self.settle(context, vm_state=self.rule.becomes, power_state=power_state, launched_at=timezone.now())

    def failed(self, context: StepContext, fault: dict[str, Any]) -> None:
        """ERROR, on no host."""
        self.settle(context, vm_state=self.rule.falls_back_to, power_state=PowerState.NOSTATE)
        self.record_fault(context, fault)
