"""The three states of an instance, and the table of verbs: who may start from where, and what comes of it.

`vm_state` is what the user expects to last, `task_state` what is happening now (null: idle), `power_state` the last
observation of the hypervisor. The values are the wire's. Every change is a compare-and-set (`transitions.py`); what
the wire calls a pair of states is in `statuses.py`. The table is printed in `docs/reference/operations.md`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from django.db import models


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
    SOFT_DELETING = "soft-deleting"
    RESTORING = "restoring"
    POWERING_OFF = "powering-off"
    POWERING_ON = "powering-on"
    REBOOTING = "rebooting"
    REBOOTING_HARD = "rebooting_hard"
    PAUSING = "pausing"
    UNPAUSING = "unpausing"
    SUSPENDING = "suspending"
    RESUMING = "resuming"
    IMAGE_SNAPSHOT = "image_snapshot"
    IMAGE_BACKUP = "image_backup"
    REBUILDING = "rebuilding"
    RESCUING = "rescuing"
    UNRESCUING = "unrescuing"
    RESIZE_PREP = "resize_prep"
    RESIZE_CONFIRMING = "resize_confirming"
    RESIZE_REVERTING = "resize_reverting"
    MIGRATING = "migrating"
    SHELVING = "shelving"
    SHELVING_OFFLOADING = "shelving_offloading"
    UNSHELVING = "unshelving"
    UPDATING_PASSWORD = "updating_password"


class PowerState(IntEnum):
    """What the hypervisor saw last, in the wire's numbers."""

    NOSTATE = 0
    RUNNING = 1
    PAUSED = 3
    SHUTDOWN = 4
    CRASHED = 6
    SUSPENDED = 7


# --- the table of verbs -----------------------------------------------------------------------------------------------

_ALIVE: Final = frozenset(set(VmState) - {VmState.DELETED})
_SETTLED: Final = (VmState.ACTIVE, VmState.STOPPED, VmState.PAUSED, VmState.SUSPENDED)
_ON: Final = (PowerState.RUNNING, PowerState.PAUSED)


@dataclass(frozen=True, kw_only=True)
class VerbRule:
    """One verb: from where it starts, its task_state while it runs, and how it ends. A `becomes` or `falls_back_to` of
    None is what the instance was before; an operation says in its docstring where it chooses between two."""

    verb: str
    allowed_vm_states: frozenset[VmState]
    task_state: TaskState | None  # None: it is over in a moment, and shows nothing
    becomes: VmState | None
    falls_back_to: VmState | None
    allowed_power_states: frozenset[PowerState]
    refused_when_locked: bool  # for callers who are not admins
    needs_idle: bool  # False: it ends whatever runs (rule R4)
    is_for_admins: bool


def _rule(
    verb: str,
    allowed: Iterable[VmState],
    task_state: TaskState | None,
    becomes: VmState | None = None,
    *,
    falls_back_to: VmState | None = None,
    power: Iterable[PowerState] = tuple(PowerState),
    locks: bool = True,
    needs_idle: bool = True,
    admins: bool = False,
) -> VerbRule:
    return VerbRule(
        verb=verb,
        allowed_vm_states=frozenset(allowed),
        task_state=task_state,
        becomes=becomes,
        falls_back_to=falls_back_to,
        allowed_power_states=frozenset(power),
        refused_when_locked=locks,
        needs_idle=needs_idle,
        is_for_admins=admins,
    )


_V, _T = VmState, TaskState

# verb, from these vm_states, task_state, becomes (nothing: what it was); falls back to what it was unless said.
_RULES: Final = (
    _rule("create", [_V.BUILDING], _T.SCHEDULING, _V.ACTIVE, falls_back_to=_V.ERROR, locks=False),
    _rule("delete", _ALIVE, _T.DELETING, _V.DELETED, falls_back_to=_V.ERROR, needs_idle=False),
    _rule("softDelete", _ALIVE - {_V.SOFT_DELETED, _V.BUILDING, _V.RESIZED}, _T.SOFT_DELETING, _V.SOFT_DELETED),
    _rule("restore", [_V.SOFT_DELETED], _T.RESTORING, _V.ACTIVE),
    # power
    _rule("stop", [_V.ACTIVE, _V.RESCUED, _V.ERROR], _T.POWERING_OFF, _V.STOPPED),
    _rule("start", [_V.STOPPED], _T.POWERING_ON, _V.ACTIVE),
    _rule("reboot", [_V.ACTIVE], _T.REBOOTING, _V.ACTIVE),
    _rule("hard_reboot", [*_SETTLED, _V.ERROR], _T.REBOOTING_HARD, _V.ACTIVE),
    _rule("pause", [_V.ACTIVE], _T.PAUSING, _V.PAUSED, power=[PowerState.RUNNING]),
    _rule("unpause", [_V.PAUSED], _T.UNPAUSING, _V.ACTIVE),
    _rule("suspend", [_V.ACTIVE], _T.SUSPENDING, _V.SUSPENDED, power=[PowerState.RUNNING]),
    _rule("resume", [_V.SUSPENDED], _T.RESUMING, _V.ACTIVE, locks=False),
    _rule("trigger_crash_dump", [_V.ACTIVE, _V.PAUSED, _V.RESCUED, _V.RESIZED, _V.ERROR], None, power=_ON),
    _rule("changePassword", [_V.ACTIVE], _T.UPDATING_PASSWORD, power=[PowerState.RUNNING]),
    # images
    _rule("createImage", _SETTLED, _T.IMAGE_SNAPSHOT, locks=False),
    _rule("createBackup", _SETTLED, _T.IMAGE_BACKUP, locks=False),
    _rule("rebuild", [_V.ACTIVE, _V.STOPPED, _V.ERROR], _T.REBUILDING),
    _rule("rescue", [_V.ACTIVE, _V.STOPPED, _V.ERROR], _T.RESCUING, _V.RESCUED),
    _rule("unrescue", [_V.RESCUED], _T.UNRESCUING, _V.ACTIVE),
    _rule("shelve", _SETTLED, _T.SHELVING, _V.SHELVED),
    _rule("shelveOffload", [_V.SHELVED], _T.SHELVING_OFFLOADING, _V.SHELVED_OFFLOADED, admins=True),
    _rule("unshelve", [_V.SHELVED, _V.SHELVED_OFFLOADED], _T.UNSHELVING, _V.ACTIVE),
    # moves
    _rule("resize", [_V.ACTIVE, _V.STOPPED], _T.RESIZE_PREP, _V.RESIZED),
    _rule("migrate", [_V.ACTIVE, _V.STOPPED], _T.RESIZE_PREP, _V.RESIZED, admins=True),
    _rule("confirmResize", [_V.RESIZED], _T.RESIZE_CONFIRMING, _V.ACTIVE),
    _rule("revertResize", [_V.RESIZED], _T.RESIZE_REVERTING, _V.ACTIVE),
    _rule("live-migration", [_V.ACTIVE, _V.PAUSED], _T.MIGRATING, power=_ON, admins=True),
    _rule("evacuate", [_V.ACTIVE, _V.STOPPED, _V.ERROR], _T.REBUILDING, _V.ACTIVE, locks=False, admins=True),
)
VERBS: Final = MappingProxyType({rule.verb: rule for rule in _RULES})

# What the cloud does by itself, and nobody can ask for.
_OFF_BY_WISH: Final = (_V.STOPPED, _V.SUSPENDED, _V.SHELVED, _V.SOFT_DELETED)
_WITH_GUEST: Final = (*_OFF_BY_WISH, _V.ACTIVE, _V.PAUSED, _V.RESCUED, _V.RESIZED)  # their hosts have a domain of them
_OWN_RULES: Final = (
    _rule("power_on_again", [_V.ACTIVE, _V.RESCUED, _V.RESIZED], _T.POWERING_ON, falls_back_to=_V.STOPPED, locks=False),
    _rule("end_unexpected_guest", _OFF_BY_WISH, _T.POWERING_OFF, locks=False),
    _rule("restore_guest", _WITH_GUEST, _T.POWERING_ON, locks=False),
)
OWN_VERBS: Final = MappingProxyType({rule.verb: rule for rule in _OWN_RULES})
STATES_WITH_GUEST: Final = frozenset(_WITH_GUEST)


# --- what a guest's power state says of its instance ------------------------------------------------------------------

_SEEN: Final = MappingProxyType(
    {
        (VmState.ACTIVE, PowerState.SHUTDOWN): VmState.STOPPED,
        (VmState.ACTIVE, PowerState.CRASHED): VmState.STOPPED,
        (VmState.ACTIVE, PowerState.PAUSED): VmState.PAUSED,
        (VmState.PAUSED, PowerState.RUNNING): VmState.ACTIVE,
        (VmState.PAUSED, PowerState.SHUTDOWN): VmState.STOPPED,
        (VmState.PAUSED, PowerState.CRASHED): VmState.STOPPED,
        (VmState.STOPPED, PowerState.RUNNING): VmState.ACTIVE,
    }
)


def seen_as(vm_state: str, power_state: int) -> VmState:
    """The vm_state of an instance whose verb failed, once its guest was seen in `power_state`."""
    return _SEEN.get((VmState(vm_state), PowerState(power_state)), VmState(vm_state))
