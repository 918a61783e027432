"""The conductor's steps of a live migration: its row, its destination and the room there, the instance's new place."""

from __future__ import annotations

from typing import Any

from cloud.networks import binding
from cloud.workflow.operation import StepContext, step
from hypervisor.steps import Role
from instances.destinations import destination_spec, shares_storage
from instances.models import MigrationStatus
from instances.steps.migration_rows import change_migration, migration_of
from instances.steps.row import change_instance, instance_of
from scheduling import claims
from scheduling.models import ComputeNode
from scheduling.request_spec import RequestSpec
from scheduling.scheduler import select_hosts
from scheduling.selectors import zones_of


def _spec(step: StepContext) -> RequestSpec:
    wanted = step.parameters
    source = ComputeNode.objects.get(host=wanted["source"])
    failed = {host: said for host, said in step.excluded.items() if host != source.host}
    return destination_spec(
        instance_of(step),
        source,
        host=wanted["host"],
        block_migration=wanted["block_migration"],
        failed=failed,
    )


@step(no_undo="how the migration ended is noted when its action ends")
def prepare_migration(step: StepContext) -> None:
    """The migration is being prepared, as the wire shows it."""
    change_migration(step, status=MigrationStatus.PREPARING)


@step(Role.SCHEDULER, no_undo="it changes nothing")
def select_destination(step: StepContext) -> dict[str, Any]:
    """The hosts that can take the guest over, best first. Raises NoValidHost with the reason of every host."""
    return {"candidates": list(select_hosts(_spec(step)).candidates)}


def give_destination_back(step: StepContext) -> None:
    """After it the instance holds its room at the source, and nothing at the destination unless that is down and still
    has what was made there."""
    instance, source = instance_of(step), step.parameters["source"]
    binding.abandon_move(instance_id=instance.pk)
    claims.release(instance.pk, host=step.outputs["claim_destination"]["host"], except_on=step.owing())
    claims.hand_over(consumer=migration_of(step).uuid, to=instance.pk, host=source)


@step(undo=give_destination_back)
def claim_destination(step: StepContext) -> dict[str, Any]:
    """Claims room on the first candidate that still has it. The migration holds the room at the source from here on."""
    instance, source = instance_of(step), step.parameters["source"]
    claims.hand_over(consumer=instance.pk, to=migration_of(step).uuid, host=source)
    host = claims.claim(_spec(step), step.outputs["select_destination"]["candidates"], action_id=step.action.pk)
    binding.prepare_move(instance_id=instance.pk, to_host=host, action_id=step.action.pk)
    change_migration(step, destination_host=host)
    nodes = {node.host: node for node in ComputeNode.objects.filter(host__in=[host, source])}
    return {
        "host": host,
        "host_ip": nodes[host].host_ip,
        "zone": zones_of([host]).get(host, ""),
        "is_shared": shares_storage(nodes[host], nodes[source]),
    }


@step(no_undo="how the migration ended is noted when its action ends")
def begin_migration(step: StepContext) -> None:
    """All is ready at the destination: the guest goes."""
    change_migration(step, status=MigrationStatus.RUNNING)


@step(no_undo="the guest is at the destination: forward only")
def move_instance(step: StepContext) -> None:
    """After it the instance, its ports and its zone are the destination's."""
    claimed = step.outputs["claim_destination"]
    change_instance(step, host=claimed["host"], availability_zone=claimed["zone"])
    binding.move_ports(instance_id=step.target_id, to_host=claimed["host"], action_id=step.action.pk)
    change_migration(step, status=MigrationStatus.POST_MIGRATING)


@step(no_undo="the guest is at the destination: forward only")
def release_source(step: StepContext) -> None:
    """After it the room at the source is free, unless it is down and still has what is the guest's."""
    claims.release(migration_of(step).uuid, except_on=step.owing())
