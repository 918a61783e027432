"""The ports of an instance."""

from __future__ import annotations

from typing import Any

from cloud.networks import services as networks
from cloud.networks.rehosting import bind_to_host
from cloud.networks.selectors import PortRequest
from cloud.workflow.operation import StepContext, step
from instances.steps.row import instance_of


def unbind_ports(step: StepContext) -> None:
    """After it the ports that this action made are gone, and the user's own are free again."""
    networks.release_ports(instance_id=step.target_id, action_id=step.action.pk)


@step(undo=unbind_ports)
def bind_ports(step: StepContext) -> dict[str, Any]:
    """Makes the ports that were asked for, each with its address, and binds them to the host."""
    instance = instance_of(step)
    ports = networks.allocate_ports(
        instance_id=instance.pk,
        project_id=instance.project_id,
        host=step.outputs["claim_resources"]["host"],
        requests=[PortRequest.from_json(wanted) for wanted in instance.requested_networks],
        action_id=step.action.pk,
    )
    return {"ports": [str(port.pk) for port in ports]}


def free_kept_ports(step: StepContext) -> None:
    """After it the instance's ports are its own and on no host."""
    bind_to_host(instance_id=step.target_id, host="")


@step(undo=free_kept_ports)
def bind_kept_ports(step: StepContext) -> None:
    """After it the ports that the instance kept are bound to the host that was claimed for it."""
    bind_to_host(instance_id=step.target_id, host=step.outputs["claim_resources"]["host"])


@step(no_undo="the guest that had them is gone")
def keep_ports(step: StepContext) -> None:
    """After it the instance's ports, with their addresses, are its own still, and on no host."""
    bind_to_host(instance_id=step.target_id, host="")


@step(no_undo="a delete goes forward only")
def release_ports(step: StepContext) -> None:
    """After it the instance has no port: its own are gone, the user's are free."""
    networks.release_ports(instance_id=step.target_id)
