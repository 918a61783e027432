"""The wire's `status` of an instance: what its vm_state and task_state are called together, both ways."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from django.db import models

from instances.states import TaskState, VmState

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
# Where a task gives the status another name than its vm_state does: (vm_state, task_state) → status.
_BUSY_STATUS: Final[MappingProxyType[tuple[str, str], str]] = MappingProxyType(
    {
        (VmState.ACTIVE, TaskState.REBOOTING): "REBOOT",
        (VmState.ACTIVE, TaskState.REBOOTING_HARD): "HARD_REBOOT",
        (VmState.ACTIVE, TaskState.UPDATING_PASSWORD): "PASSWORD",
        (VmState.ACTIVE, TaskState.REBUILDING): "REBUILD",
        (VmState.STOPPED, TaskState.REBUILDING): "REBUILD",
        (VmState.ERROR, TaskState.REBUILDING): "REBUILD",
        (VmState.ACTIVE, TaskState.RESIZE_PREP): "RESIZE",
        (VmState.STOPPED, TaskState.RESIZE_PREP): "RESIZE",
        (VmState.RESIZED, TaskState.RESIZE_REVERTING): "REVERT_RESIZE",
        (VmState.ACTIVE, TaskState.MIGRATING): "MIGRATING",
        (VmState.PAUSED, TaskState.MIGRATING): "MIGRATING",
    }
)
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
