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


def request_spec(
    instance: Instance,
    excluded: dict[str, str],
    destination: dict[str, Any] | None = None,
    *,
    ruled_out: dict[str, str] | None = None,
) -> RequestSpec:
    """What the scheduler is asked for an instance; `excluded`: hosts on which this request failed, and why;
    `ruled_out`: those that it must not go to, and why.

    `destination`: {"zone", "host"} of a verb that was told anew where to go; None: what the boot was told.
    """
    boot = {"zone": instance.requested_zone, "host": instance.forced_host, "hypervisor": instance.forced_hypervisor}
    where = boot if destination is None else destination
    return RequestSpec(
        instance_id=instance.pk,
        project_id=instance.project_id,
        vcpus=instance.vcpus,
        memory_mib=instance.memory_mib,
        disk_gib=instance.disk_gib + instance.ephemeral_gib,
        zone=where.get("zone") or None,
        host=where.get("host") or None,
        hypervisor_hostname=where.get("hypervisor") or None,
        excluded=excluded,
        ruled_out=ruled_out or {},
        image_properties=instance.image_properties,
        extra_specs=instance.extra_specs,
        hints=instance.scheduler_hints,
    )


def _asked(step: StepContext) -> RequestSpec:
    return request_spec(instance_of(step), step.excluded, step.parameters.get("destination"))


@step(Role.SCHEDULER, no_undo="it changes nothing")
def select_host(step: StepContext) -> dict[str, Any]:
    """The hosts that fit, best first. Raises NoValidHost with the reason of every host."""
    selection = select_hosts(_asked(step))
    return {"candidates": list(selection.candidates)}


def release_claim(step: StepContext) -> None:
    """After it nothing is claimed for the instance, but where something is owed, and it is on no host."""
    claims.release(step.target_id, except_on=step.owing())
    change_instance(step, host="", availability_zone="", task_state=TaskState.SCHEDULING)


@step(undo=release_claim)
def claim_resources(step: StepContext) -> dict[str, Any]:
    """Claims room on the first candidate that still has it; the instance is that host's from here on."""
    host = claims.claim(_asked(step), step.outputs["select_host"]["candidates"], action_id=step.action.pk)
    zone = zones_of([host]).get(host, "")
    change_instance(step, host=host, availability_zone=zone, task_state=TaskState.SPAWNING)
    return {"host": host}


@step(no_undo="a delete goes forward only")
def release_claims(step: StepContext) -> None:
    """After it nothing is claimed for the instance, nor for a migration of it; but on hosts that owe something: they
    still hold what is its."""
    for consumer in consumers_of(step.target_id):
        claims.release(consumer, except_on=step.owing())
