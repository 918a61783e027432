"""`shelveOffload`: a shelved instance leaves its host; its image is all there is of it. All forward."""

from __future__ import annotations

from typing import Any

from cloud.networks.selectors import nic_specs
from cloud.workflow.operation import PIVOT, StepContext
from hypervisor.spec import encode
from hypervisor.steps import remove_guest
from instances.operations.base import InstanceOperation
from instances.states import PowerState
from instances.steps.networking import keep_ports
from instances.steps.placement import release_claims


class ShelveOffload(InstanceOperation):
    """Nothing of the instance is on any host and nothing is claimed for it; its ports and addresses are kept."""

    name = "shelve_offload"
    action = "shelveOffload"
    steps = (PIVOT, remove_guest, keep_ports, release_claims)

    def inputs(self, context: StepContext) -> dict[str, Any]:
        """The ports, so that their DHCP entries can be found."""
        return {"nics": [encode(nic) for nic in nic_specs(context.target_id)]}

    def succeeded(self, context: StepContext) -> None:
        """SHELVED_OFFLOADED, on no host and in no zone."""
        nowhere = {"host": "", "availability_zone": "", "power_state": PowerState.NOSTATE}
        self.settle(context, vm_state=self.rule.becomes, **nowhere)
