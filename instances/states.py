"""The three states of an instance, and the table of verbs: who may start from where, and what comes of it.

`vm_state` is what the user expects to last, `task_state` what is happening now (null: idle), `power_state` the last
observation of the hypervisor. The values are the wire's. Every change is a compare-and-set.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from django.db import models
from django.utils import timezone


class VmState(models.TextChoices):
    """What the user expects to last."""

    BUILDING = "building"
    ACTIVE = "active"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    STOPPED = "stopped"
    RESCUED = "rescued"
    RESIZED = "resized"
    SOFT_DELETED = "soft-delete"
    DELETED = "deleted"
    ERROR = "error"
    SHELVED = "shelved"
    SHELVED_OFFLOADED = "shelved_offloaded"


class TaskState(models.TextChoices):
    """What is happening now; null when nothing is."""

    SCHEDULING = "scheduling"
    NETWORKING = "networking"
    BLOCK_DEVICE_MAPPING = "block_device_mapping"
    SPAWNING = "spawning"
    DELETING = "deleting"


class PowerState(IntEnum):
    """What the hypervisor saw last, in the wire's numbers."""

    NOSTATE = 0
    RUNNING = 1
    PAUSED = 3
    SHUTDOWN = 4
    CRASHED = 6
    SUSPENDED = 7


# --- the wire's status ------------------------------------------------------------------------------------------------

_STATUS: Final = MappingProxyType(
    {
        VmState.BUILDING: "BUILD",
        VmState.ACTIVE: "ACTIVE",
        VmState.PAUSED: "PAUSED",
        VmState.SUSPENDED: "SUSPENDED",
        VmState.STOPPED: "SHUTOFF",
        VmState.RESCUED: "RESCUE",
        VmState.RESIZED: "VERIFY_RESIZE",
        VmState.SOFT_DELETED: "SOFT_DELETED",
        VmState.DELETED: "DELETED",
        VmState.ERROR: "ERROR",
        VmState.SHELVED: "SHELVED",
        VmState.SHELVED_OFFLOADED: "SHELVED_OFFLOADED",
    }
)
# Where a task gives the status another name than its vm_state does: (vm_state, task_state) → status. A verb adds rows.
_BUSY_STATUS: Final[MappingProxyType[tuple[str, str], str]] = MappingProxyType({})
UNKNOWN_STATUS: Final = "UNKNOWN"


def api_status(vm_state: str, task_state: str | None) -> str:
    """The wire's `status`: ACTIVE, BUILD, SHUTOFF … of the two states."""
    busy = _BUSY_STATUS.get((vm_state, task_state)) if task_state else None
    return busy or _STATUS.get(vm_state, UNKNOWN_STATUS)  # type: ignore[call-overload, no-any-return]


def rows_with_status(status: str) -> models.Q | None:
    """The condition under which `api_status` gives `status`, for a list filter; None when nothing ever has it."""
    wanted = status.upper()
    busy = [key for key, name in _BUSY_STATUS.items() if name == wanted]
    renamed = [(vm, task) for vm, task in _BUSY_STATUS if _STATUS[VmState(vm)] == wanted]
    plain = [vm for vm, name in _STATUS.items() if name == wanted]
    if not busy and not plain:
        return None
    condition = models.Q(vm_state__in=plain)
    for vm, task in renamed:
        condition &= ~models.Q(vm_state=vm, task_state__isnull=False, task_state=task)
    for vm, task in busy:
        condition |= models.Q(vm_state=vm, task_state=task)
    return condition


# --- the table of verbs -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class VerbRule:
    """One verb: the vm_states that it starts from, its task_state while it runs, and how it ends."""

    verb: str
    allowed_vm_states: frozenset[VmState]
    task_state: TaskState
    becomes: VmState
    falls_back_to: VmState
    refused_when_locked: bool = True  # for callers who are not admins
    needs_idle: bool = True  # False: it ends whatever runs (rule R4)


_ALIVE: Final = frozenset(set(VmState) - {VmState.DELETED})

VERBS: Final = MappingProxyType(
    {
        rule.verb: rule
        for rule in (
            VerbRule(
                verb="create",
                allowed_vm_states=frozenset({VmState.BUILDING}),
                task_state=TaskState.SCHEDULING,
                becomes=VmState.ACTIVE,
                falls_back_to=VmState.ERROR,
                refused_when_locked=False,
            ),
            VerbRule(
                verb="delete",
                allowed_vm_states=_ALIVE,
                task_state=TaskState.DELETING,
                becomes=VmState.DELETED,
                falls_back_to=VmState.ERROR,
                needs_idle=False,
            ),
        )
    }
)


# --- changing a state -------------------------------------------------------------------------------------------------

_ANY: Final = object()


def compare_and_set(
    instance_id: UUID,
    *,
    expected_vm_state: str | Iterable[str] | None = None,
    expected_task_state: str | Iterable[str | None] | object | None = _ANY,
    **changes: Any,
) -> bool:
    """Changes the instance in one UPDATE, if it is alive and still in the expected states; says whether it was.

    `expected_vm_state`: one or several, None for any. `expected_task_state`: one or several, where None is idle.
    """
    from instances.models import Instance  # the models name these enums

    rows = Instance.objects.filter(pk=instance_id, deleted_at=None)
    if expected_vm_state is not None:
        states = [expected_vm_state] if isinstance(expected_vm_state, str) else list(expected_vm_state)
        rows = rows.filter(vm_state__in=states)
    if expected_task_state is None or isinstance(expected_task_state, str):
        rows = rows.filter(task_state=expected_task_state)
    elif expected_task_state is not _ANY:
        tasks = list(expected_task_state)  # type: ignore[call-overload]
        condition = models.Q(task_state__in=[task for task in tasks if task is not None])
        rows = rows.filter(condition | models.Q(task_state=None) if None in tasks else condition)
    changes.setdefault("updated_at", timezone.now())
    return rows.update(**changes) == 1
