"""Findings about the rows of instances and of their migrations: something is said to be under way and nothing is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from uuid import UUID

from django.utils import timezone

from instances.doctor.finding import Code, Finding, InTransaction
from instances.doctor.look import Look
from instances.models import Fault, Instance, MigrationStatus
from instances.states import VmState
from instances.transitions import compare_and_set

STUCK = Code(
    name="instance.stuck",
    finds="an instance has a task_state, or is building, and no action of it is alive",
    danger="Its user can do nothing with it but delete it.",
    repair="It is idle again; one that was building is in ERROR.",
    is_safe=True,
)
UNFINISHED = Code(
    name="migration.unfinished",
    finds="a migration counts as under way, and nothing is at work on its instance",
    danger="The other side keeps its room and its disk, and the instance cannot be told to be on one host alone.",
    repair="Look at both hosts; then reset the instance's state, or delete it, and end the migration in the console.",
)
CODES = (STUCK, UNFINISHED)
_MESSAGE = "Its boot was cut short, and nothing was at work on it any more."


def findings(look: Look) -> Iterator[Finding]:
    """All of this family."""
    for row in look.instances.values():
        if row.task_state is not None or row.vm_state == VmState.BUILDING:
            doing = f"{row.vm_state}, task_state {row.task_state or 'none'}"
            yield Finding(
                code=STUCK,
                objects={"instance": str(row.pk), "vm_state": row.vm_state, "task_state": row.task_state or ""},
                detail=f"Instance {row.pk} is {doing}, and no action is at work on it.",
                concerns=frozenset({row.pk}),
                fix=InTransaction(work=partial(_set_idle, row.pk, row.vm_state, row.task_state)),
            )
    for move in look.moves:
        waits = look.instances[move.instance_id].vm_state == VmState.RESIZED
        if not (waits and move.status == MigrationStatus.FINISHED):
            yield Finding(
                code=UNFINISHED,
                objects={"instance": str(move.instance_id), "migration": str(move.uuid), "status": move.status},
                detail=f"The {move.type} from {move.source_host or '–'} to {move.destination_host or '–'} "
                f"is {move.status}.",
                concerns=frozenset({move.instance_id, move.uuid}),
            )


def _set_idle(instance_id: UUID, vm_state: str, task_state: str | None) -> bool:
    is_building = vm_state == VmState.BUILDING
    changes = {"vm_state": VmState.ERROR} if is_building else {}
    Instance.objects.select_for_update().filter(pk=instance_id).first()
    if not compare_and_set(
        instance_id, expected_vm_state=vm_state, expected_task_state=task_state, task_state=None, **changes
    ):
        return False
    if is_building:
        Fault.objects.create(instance_id=instance_id, code=500, message=_MESSAGE, created_at=timezone.now())
    return True
