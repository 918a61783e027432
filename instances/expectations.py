"""What an observation of a guest means for its instance: the one table of power-state policies, without a database.

An instance that is idle has an expectation: its guest runs, or is paused, or is off. `judge` compares it with what a
host saw and says what comes of it: other states for the row, or an action of the cloud's own (rule R11: nothing touches
a host but through an action).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from instances.states import PowerState, VmState


class Policy(StrEnum):
    """UNEXPECTED_GUEST_POLICY: what becomes of a guest that runs although its instance should not."""

    STOP = "stop"
    ADOPT = "adopt"
    IGNORE = "ignore"


@dataclass(frozen=True, kw_only=True)
class Sight:
    """A guest as its host saw it. NOSTATE: the host has none. `reason`: see `hypervisor.spec.GuestState`."""

    power_state: PowerState
    reason: str = ""

    @property
    def is_on(self) -> bool:
        """It runs, or its memory waits to run."""
        return self.power_state in (PowerState.RUNNING, PowerState.PAUSED, PowerState.SUSPENDED)


@dataclass(frozen=True, kw_only=True)
class Row:
    """What the database says of the instance."""

    vm_state: VmState
    power_state: PowerState
    previous_vm_state: str = ""  # of an instance that waits for its resize to be confirmed


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What comes of an observation: `vm_state` (None: as it is), an `operation` to begin, and a word for the log."""

    power_state: PowerState
    vm_state: VmState | None = None
    operation: str = ""
    because: str = ""


POWER_ON_AGAIN: Final = "power_on_again"
END_UNEXPECTED_GUEST: Final = "end_unexpected_guest"

_NOT_FOLLOWED: Final = (VmState.BUILDING, VmState.SHELVED_OFFLOADED, VmState.DELETED)
_OFF_BY_WISH: Final = (VmState.STOPPED, VmState.SUSPENDED, VmState.SHELVED, VmState.SOFT_DELETED)
_ADOPTABLE: Final = (VmState.STOPPED, VmState.SUSPENDED)
# Somebody or something ended the guest under libvirtd's eyes. Otherwise (it crashed, or nobody saw it end) the power of
# its host may have gone.
_SEEN_TO_END: Final = ("", "shutdown", "destroyed", "saved", "failed", "migrated", "snapshot")


def is_certain(sight: Sight) -> bool:
    """Whether a single event says enough. Of a guest that went off unseen a heartbeat must tell whether its host was
    rebooted."""
    return sight.is_on or sight.reason in _SEEN_TO_END


def judge(row: Row, sight: Sight, *, was_rebooted: bool, resumes: bool, policy: Policy) -> Finding | None:
    """What comes of `sight`; None when all is as the row says.

    `was_rebooted`: the host was, since its guests were looked at last. `resumes`: RESUME_GUESTS_ON_HOST_BOOT.
    """
    if row.vm_state in _NOT_FOLLOWED:
        return None
    found: Finding | None
    if row.vm_state in _OFF_BY_WISH and sight.is_on:
        found = _unexpected(row, sight, policy)
    elif not sight.is_on and was_rebooted and (sight.power_state == PowerState.NOSTATE or not is_certain(sight)):
        found = _after_boot(row, sight, resumes)
    else:
        found = _followed(row, sight)
    is_news = found.operation or found.vm_state not in (None, row.vm_state) or found.power_state != row.power_state
    return found if is_news else None


def _unexpected(row: Row, sight: Sight, policy: Policy) -> Finding:
    """A guest that runs although its instance should not."""
    as_seen = VmState.PAUSED if sight.power_state == PowerState.PAUSED else VmState.ACTIVE
    if row.vm_state == VmState.STOPPED and row.power_state == PowerState.NOSTATE:
        return Finding(power_state=sight.power_state, vm_state=as_seen, because="its guest is there again")
    if policy == Policy.IGNORE:
        return Finding(power_state=sight.power_state, because="its guest runs unexpectedly, and is let alone")
    if policy == Policy.ADOPT and row.vm_state in _ADOPTABLE:
        return Finding(
            power_state=sight.power_state, vm_state=as_seen, because="its guest was started by hand: adopted"
        )
    return Finding(
        power_state=sight.power_state, operation=END_UNEXPECTED_GUEST, because="its guest should not run: it is ended"
    )


def _after_boot(row: Row, sight: Sight, resumes: bool) -> Finding:
    """A guest that is off because its host was rebooted."""
    should_run = row.vm_state in (VmState.ACTIVE, VmState.RESCUED) or (
        row.vm_state == VmState.RESIZED and row.previous_vm_state == VmState.ACTIVE
    )
    if should_run and resumes:
        return Finding(
            power_state=sight.power_state,
            operation=POWER_ON_AGAIN,
            because="its host was rebooted: its guest comes back",
        )
    if row.vm_state in (VmState.ACTIVE, VmState.PAUSED):
        return Finding(power_state=sight.power_state, vm_state=VmState.STOPPED, because="its host was rebooted")
    return Finding(power_state=sight.power_state)


def _followed(row: Row, sight: Sight) -> Finding:
    """The row follows what was seen, as far as a guest may decide it."""
    to = None
    if row.vm_state == VmState.ACTIVE and not sight.is_on:
        to = VmState.SUSPENDED if sight.reason == "saved" else VmState.STOPPED
    elif row.vm_state == VmState.PAUSED and not sight.is_on:
        to = VmState.STOPPED  # its memory is gone
    elif row.vm_state == VmState.PAUSED and sight.power_state == PowerState.RUNNING:
        to = VmState.ACTIVE
    why = "is not there" if sight.power_state == PowerState.NOSTATE else f"is {sight.power_state.name.lower()}"
    by = f" ({sight.reason})" if sight.reason else ""
    return Finding(power_state=sight.power_state, vm_state=to, because=f"its guest {why}{by}")
