"""`network_reach`: one host is told which hosts have one of its networks. All forward, and repeatable at any time."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from cloud.networks import reach
from cloud.networks.selectors import reach_spec
from cloud.workflow.operation import PIVOT, Operation, StepContext
from hypervisor.spec import ReachSpec, encode
from hypervisor.steps import Role, set_reach


class NetworkReach(Operation):
    """The host knows the hosts of the network as they were when this began, or as they were later."""

    name = reach.TELL
    action = "network_reach"
    steps = (PIVOT, set_reach)

    def hosts(self, role: Role, context: StepContext) -> tuple[str, ...]:
        """The host that is told; none when it has the network no longer."""
        return (context.parameters["host"],) if _reach_of(context) else ()

    def inputs(self, context: StepContext) -> dict[str, Any]:
        """The network and the addresses of its hosts, as they are now."""
        spec = _reach_of(context)
        return {"reach": encode(spec)} if spec else {}

    def succeeded(self, context: StepContext) -> None:
        """It is written down what the host knows."""
        output = context.outputs.get("set_reach")
        if output:
            network_id = UUID(context.parameters["network"])
            reach.told(network_id=network_id, host=context.parameters["host"], version=output["version"])


def _reach_of(context: StepContext) -> ReachSpec | None:
    spec: ReachSpec | None = context.once(
        "reach", lambda: reach_spec(UUID(context.parameters["network"]), context.parameters["host"])
    )
    return spec


OPERATIONS = (NetworkReach,)
