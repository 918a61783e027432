"""`delete`: take an instance off every host that it may be on, and free all that it held. All forward."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from cloud.networks.selectors import nic_specs
from cloud.workflow.operation import PIVOT, StepContext
from hypervisor.spec import encode
from hypervisor.steps import Role, remove_guest
from instances.operations.base import InstanceOperation
from instances.states import PowerState
from instances.steps.images import drop_images
from instances.steps.networking import release_ports
from instances.steps.placement import release_claims
from instances.unfinished_moves import end_moves


class Delete(InstanceOperation):
    """Nothing of the instance is left on any host, no port, no allocation; it interrupts whatever ran."""

    name = "delete"
    action = "delete"
    ends_target = True
    steps = (PIVOT, remove_guest, release_ports, release_claims, drop_images)

    def hosts(self, role: Role, context: StepContext) -> tuple[str, ...]:
        """Every host of the superseded action's log, and the instance's own: the service wrote them down."""
        return tuple(context.parameters["hosts"])

    def inputs(self, context: StepContext) -> dict[str, Any]:
        """The ports, so that their DHCP entries can be found."""
        return {"nics": [encode(nic) for nic in nic_specs(context.target_id)]}

    def succeeded(self, context: StepContext) -> None:
        """DELETED, on no host."""
        now = timezone.now()
        ended = {"deleted_at": now, "terminated_at": now, "host": "", "power_state": PowerState.NOSTATE}
        self.settle(context, vm_state=self.rule.becomes, **ended)
        end_moves(context.target_id)
