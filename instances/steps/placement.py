"""Where an instance goes, and the room it takes there."""

from __future__ import annotations

from typing import Any

from cloud.workflow.operation import StepContext, step
from hypervisor.steps import Role
from instances.models import Instance
from instances.states import TaskState
from instances.steps.row import change_instance, instance_of
from instances.unfinished_moves import consumers_of
from scheduling import claims
from scheduling.request_spec import RequestSpec
from scheduling.scheduler import select_hosts
from scheduling.selectors import zones_of


def request_spec(instance: Instance, excluded: dict[str, str], ruled_out: dict[str, str] | None = None) -> RequestSpec:
    """What the scheduler is asked for an instance; `excluded`: hosts on which this request failed, and why;
    `ruled_out`: those that it must not go to, and why."""
    return RequestSpec(
        instance_id=instance.pk,
        project_id=instance.project_id,
        vcpus=instance.vcpus,
        memory_mib=instance.memory_mib,
        disk_gib=instance.disk_gib + instance.ephemeral_gib,
        zone=instance.requested_zone or None,
        host=instance.forced_host or None,
        hypervisor_hostname=instance.forced_hypervisor or None,
        excluded=excluded,
        ruled_out=ruled_out or {},
        image_properties=instance.image_properties,
        extra_specs=instance.extra_specs,
        hints=instance.scheduler_hints,
    )


@step(Role.SCHEDULER, no_undo="it changes nothing")
def select_host(step: StepContext) -> dict[str, Any]:
    """The hosts that fit, best first. Raises NoValidHost with the reason of every host."""
    selection = select_hosts(request_spec(instance_of(step), step.excluded))
    return {"candidates": list(selection.candidates)}


def release_claim(step: StepContext) -> None:
    """After it nothing is claimed for the instance, and it is on no host."""
    claims.release(step.target_id)
    change_instance(step, host="", availability_zone="", task_state=TaskState.SCHEDULING)


@step(undo=release_claim)
def claim_resources(step: StepContext) -> dict[str, Any]:
    """Claims room on the first candidate that still has it; the instance is that host's from here on."""
    spec = request_spec(instance_of(step), step.excluded)
    host = claims.claim(spec, step.outputs["select_host"]["candidates"], action_id=step.action.pk)
    zone = zones_of([host]).get(host, "")
    change_instance(step, host=host, availability_zone=zone, task_state=TaskState.SPAWNING)
    return {"host": host}


@step(no_undo="a delete goes forward only")
def release_claims(step: StepContext) -> None:
    """After it nothing is claimed for the instance anywhere, nor for a migration of it."""
    for consumer in consumers_of(step.target_id):
        claims.release(consumer)
