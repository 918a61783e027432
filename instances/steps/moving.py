"""The conductor's part of a move: where to, the room on both sides, the ports, and what the row says in the end.

An instance that moves holds the new side in its own name and the old one in its migration's (`Migration.uuid`), so that
a resize on one host holds both there too.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils import timezone

from cloud.images.models import Image, ImageStatus
from cloud.networks import binding as networks
from cloud.workflow.operation import StepContext, step
from hypervisor.steps import Role
from instances.models import Migration, MigrationStatus, MigrationType
from instances.sizes import resized
from instances.steps.placement import request_spec
from instances.steps.row import change_instance, instance_of
from scheduling import claims
from scheduling.explain import NoValidHost
from scheduling.request_spec import RequestSpec
from scheduling.scheduler import select_hosts
from scheduling.selectors import share_storage, zones_of


def migration_of(step: StepContext) -> Migration:
    """The migration that the action is about, as this turn's steps have it."""
    row: Migration = step.once("migration", lambda: Migration.objects.get(uuid=step.parameters["migration"]))
    return row


def change_migration(step: StepContext, **changes: Any) -> None:
    """One UPDATE of the columns named; the row that the turn remembers changes with it."""
    row = migration_of(step)
    Migration.objects.filter(pk=row.pk).update(updated_at=timezone.now(), **changes)
    for column, value in changes.items():
        setattr(row, column, value)


def move_spec(migration: Migration, excluded: dict[str, str]) -> RequestSpec:
    """What the scheduler is asked for an instance that moves: room for its new size, at the host that was named or any
    but the one that it must leave."""
    arriving = resized(migration.instance, migration.details["new"])
    arriving.forced_host, arriving.forced_hypervisor = migration.details.get("host") or "", ""
    return request_spec(arriving, excluded, ruled_out=_ruled_out(migration))


def _ruled_out(migration: Migration) -> dict[str, str]:
    if migration.type == MigrationType.MIGRATION:
        return {migration.source_host: "The instance is on it, and a migration is to another host."}
    if not settings.ALLOW_RESIZE_TO_SAME_HOST:
        return {migration.source_host: "The instance is on it, and ALLOW_RESIZE_TO_SAME_HOST is off."}
    return {}


@step(Role.SCHEDULER, no_undo="it changes nothing")
def select_destination(step: StepContext) -> dict[str, Any]:
    """The hosts that fit, best first. Raises NoValidHost with the reason of every host."""
    spec = move_spec(migration_of(step), step.excluded)
    candidates = [host for host in select_hosts(spec).candidates if host not in spec.ruled_out]
    if not candidates:
        raise NoValidHost(f"No valid host was found. {next(iter(spec.ruled_out.values()))}")
    return {"candidates": candidates}


def give_destination_back(step: StepContext) -> None:
    """After it the instance holds what it held before, in its own name, and nothing else."""
    migration = migration_of(step)
    if claims.holds(migration.uuid, migration.source_host):
        claims.release(step.target_id, except_on=step.owing())
        claims.hand_over(migration.uuid, step.target_id, migration.source_host)
    change_migration(step, destination_host="", status=MigrationStatus.ACCEPTED)


@step(undo=give_destination_back)
def claim_destination(step: StepContext) -> dict[str, Any]:
    """The instance holds the new side, its migration the old one; what the hosts must know of each other."""
    migration = migration_of(step)
    source = migration.source_host
    claims.hand_over(step.target_id, migration.uuid, source)
    spec = move_spec(migration, step.excluded)
    host = claims.claim(spec, step.outputs["select_destination"]["candidates"], action_id=step.action.pk)
    change_migration(step, destination_host=host, status=MigrationStatus.MIGRATING)
    other = "" if host == source else source
    image = Image.objects.filter(pk=instance_of(step).image_id, status=ImageStatus.ACTIVE)
    return {
        "host": host,
        "zone": zones_of([host]).get(host, ""),
        "peer": "" if share_storage(host, source) else other,
        "base_peer": other,
        "has_image": bool(migration.instance.image_id) and image.exists(),
    }


def move_ports_back(step: StepContext) -> None:
    """After it the instance's ports are bound to the host that it left."""
    _move_ports(step, instance_of(step).host)


def _move_ports(step: StepContext, host: str) -> None:
    """The guest is off: its ports are wanted at one host only, and the others are told before it plugs them."""
    networks.prepare_move(instance_id=step.target_id, to_host=host, action_id=step.action.pk)
    networks.move_ports(instance_id=step.target_id, to_host=host, action_id=step.action.pk)


@step(undo=move_ports_back)
def move_ports(step: StepContext) -> None:
    """After it the instance's ports are bound to the host where it arrives; their addresses stay."""
    _move_ports(step, step.outputs["claim_destination"]["host"])


@step(no_undo="it is the last step: nothing can fail after it")
def settle_resized(step: StepContext) -> None:
    """The instance is where it arrived, in its new size; the old one is kept beside it."""
    migration = migration_of(step)
    claimed = step.outputs["claim_destination"]
    change_instance(
        step,
        host=claimed["host"],
        availability_zone=claimed["zone"],
        previous_vm_state=migration.details["vm_state"],
        previous_flavor=migration.details["old"],
        **migration.details["new"],
    )
    change_migration(step, status=MigrationStatus.FINISHED)


# --- taken back -------------------------------------------------------------------------------------------------------


@step(undo=move_ports_back)
def return_ports(step: StepContext) -> None:
    """After it the instance's ports are bound to the host that it goes back to."""
    _move_ports(step, migration_of(step).source_host)


@step(no_undo="the guest is back where it was, and what it was elsewhere is discarded from here on")
def settle_reverted(step: StepContext) -> None:
    """The instance is where it was and as large as it was."""
    migration = migration_of(step)
    source = migration.source_host
    change_instance(
        step,
        host=source,
        availability_zone=zones_of([source]).get(source, ""),
        previous_vm_state="",
        previous_flavor=None,
        **migration.details["old"],
    )


@step(no_undo="the guest is back where it was")
def take_old_room_back(step: StepContext) -> None:
    """The instance holds what it held before the move, in its own name, and nothing else."""
    migration = migration_of(step)
    if claims.holds(migration.uuid, migration.source_host):
        claims.release(step.target_id, except_on=step.owing())
        claims.hand_over(migration.uuid, step.target_id, migration.source_host)


# --- confirmed --------------------------------------------------------------------------------------------------------


@step(no_undo="the move is confirmed: nobody goes back")
def release_old_room(step: StepContext) -> None:
    """After it nothing is claimed for the side that the instance left, unless its host owes something."""
    claims.release(migration_of(step).uuid, except_on=step.owing())
