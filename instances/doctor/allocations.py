"""Findings about allocations: held for nobody, or not held by who is there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from uuid import UUID, uuid4

from instances.doctor.finding import Code, Finding, InTransaction
from instances.doctor.look import Look
from instances.models import Instance, Migration
from instances.states import STATES_WITH_GUEST
from scheduling import claims
from scheduling.corrections import hold_there

LEAKED = Code(
    name="allocation.leaked",
    finds="room on a host is held for an instance that is deleted, unknown or elsewhere, or for a move that is over",
    danger="The host has less room to give than it has.",
    repair="The room is free.",
    is_safe=True,
)
MISSING = Code(
    name="allocation.missing",
    finds="an instance is on a host and holds no room there",
    danger="The host promises its room to another instance as well.",
    repair="The instance holds its room, even if the host is then overfull.",
    is_safe=True,
)
CODES = (LEAKED, MISSING)


def findings(look: Look) -> Iterator[Finding]:
    """All of this family."""
    moves = {move.uuid for move in look.moves}
    owners = _owners_of_moves(look)
    held: set[tuple[UUID, str]] = set()
    for row in look.allocations:
        held.add((row.consumer, row.host))
        if row.consumer in moves or row.consumer in look.astray or _is_at_home(look, row.consumer, row.host):
            continue
        yield Finding(
            code=LEAKED,
            objects={"host": row.host, "consumer": str(row.consumer)},
            detail=f"{row.vcpus} vCPU, {row.memory_mib} MiB and {row.disk_gib} GiB of host {row.host} are held "
            f"for {row.consumer}, which {_who(look, row.consumer, owners)}.",
            concerns=frozenset({row.consumer, owners.get(row.consumer, row.consumer)}),
            fix=InTransaction(work=partial(_release, row.consumer, row.host)),
        )
    for instance in look.instances.values():
        if instance.host and (instance.pk, instance.host) not in held and _needs_room(look, instance):
            yield Finding(
                code=MISSING,
                objects={"host": instance.host, "instance": str(instance.pk)},
                detail=f"Instance {instance.pk} is on host {instance.host} and holds nothing there.",
                concerns=frozenset({instance.pk}),
                fix=InTransaction(work=partial(_hold, instance)),
            )


def _owners_of_moves(look: Look) -> dict[UUID, UUID]:
    """The instance of each migration that holds room."""
    consumers = {row.consumer for row in look.allocations} - set(look.instances)
    return dict(Migration.objects.filter(uuid__in=consumers).values_list("uuid", "instance_id"))


def _is_at_home(look: Look, consumer: UUID, host: str) -> bool:
    row = look.instances.get(consumer)
    return row is not None and (row.host == host or (look.is_moving(consumer) and host in look.may_be_on(consumer)))


def _needs_room(look: Look, instance: Instance) -> bool:
    return instance.vm_state in STATES_WITH_GUEST and instance.task_state is None and instance.pk not in look.astray


def _who(look: Look, consumer: UUID, owners: dict[UUID, UUID]) -> str:
    if consumer in look.instances:
        return f"is an instance on {look.instances[consumer].host or 'no host'}"
    if consumer in owners:
        return f"is a move of instance {owners[consumer]} that is over"
    return "is a deleted instance" if consumer in look.deleted else "is nobody"


def _release(consumer: UUID, host: str) -> bool:
    return claims.release(consumer, host) > 0


def _hold(instance: Instance) -> bool:
    rows = Instance.objects.select_for_update().filter(pk=instance.pk, host=instance.host, deleted_at=None)
    if rows.first() is None or claims.holds(instance.pk, instance.host):
        return False
    hold_there(
        instance.pk,
        instance.host,
        project_id=instance.project_id,
        vcpus=instance.vcpus,
        memory_mib=instance.memory_mib,
        disk_gib=instance.disk_gib + instance.ephemeral_gib,
        action_id=uuid4(),
    )
    return True
