"""Keeps power_state true: what hypervisors say of guests, as the engine lets it through (rule R11).

Events tell at once, heartbeats make up for what was lost and see what no event tells: guests that are not there any
more, and hosts that were rebooted. What an observation means is in `expectations.py`; here it is checked to be of now,
and carried out.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Max
from django.utils import timezone

from cloud.workflow.hosts import is_current
from cloud.workflow.models import Action, Host
from cloud.workflow.states import LIVE
from instances.expectations import Finding, Policy, Row, Sight, is_certain, judge
from instances.models import HostBoot, Instance
from instances.services.own_actions import begin_own_action
from instances.states import PowerState, VmState
from instances.transitions import compare_and_set

log = logging.getLogger(__name__)

_COLUMNS = ("pk", "vm_state", "power_state", "previous_vm_state", "updated_at")
_ABSENT = Sight(power_state=PowerState.NOSTATE)


def observe_event(host: Host, message: dict[str, Any]) -> None:
    """A guest changed without an action: its instance follows, as far as one event says enough. One that was sent
    before its instance changed last tells of that, or of something older: the next look decides."""
    guest = message["guest"]
    sight = _sight(guest)
    values = _idle_on(host).filter(pk=guest["instance_id"]).values(*_COLUMNS).first()
    if values is None or values["updated_at"] >= _seen_at(message):
        return
    row = _row(values)
    if is_certain(sight):
        finding = _judge(row, sight, was_rebooted=False)
    else:
        finding = Finding(power_state=sight.power_state, because=f"its guest is off ({sight.reason})")
    if finding is not None:
        _carry_out(host, values["pk"], row, finding)


def observe_heartbeat(host: Host, message: dict[str, Any]) -> None:
    """Every idle instance of the host, against the guests of a heartbeat. One query when all is as expected, one more
    while the host's boot is new."""
    if "guests" not in message:
        return
    guests = {guest["instance_id"]: guest for guest in message["guests"]}
    boot = _Boot.of(host, message)
    seen_at = _seen_at(message)
    is_undecided = False
    for values in _idle_on(host).values(*_COLUMNS):
        guest = guests.get(str(values["pk"]))
        row, sight = _row(values), _ABSENT if guest is None else _sight(guest)
        finding = _judge(row, sight, was_rebooted=boot.is_new)
        if finding is None:
            continue
        is_undecided |= bool(finding.operation)
        is_newer = values["updated_at"] < seen_at  # than what an event told, or a verb made of it
        if is_newer and _is_current(host, values["pk"], guest, seen_at):
            _carry_out(host, values["pk"], row, finding)
        else:
            is_undecided = True  # the next look decides
    if not (is_undecided or (boot.is_new and _has_busy_instances(host))):
        boot.remember()


@dataclass(frozen=True)
class _Boot:
    """The boot of a host that a heartbeat speaks of. It is new until every instance there is as it should be: who is
    killed in between, or fails because the host goes away again, is made up for at the next heartbeat."""

    host: str
    boot_id: str
    known: str | None

    @classmethod
    def of(cls, host: Host, message: Mapping[str, Any]) -> _Boot:
        boot_id = str((message.get("inventory") or {}).get("boot_id") or "")
        known = HostBoot.objects.filter(host=host.name).values_list("boot_id", flat=True).first() if boot_id else None
        return cls(host.name, boot_id, known)

    @property
    def is_new(self) -> bool:
        """The host was rebooted. One that is seen for the first time was not."""
        return self.known is not None and self.known != self.boot_id

    def remember(self) -> None:
        """After it this boot is the host's known one."""
        if self.boot_id and self.known != self.boot_id:
            HostBoot.objects.update_or_create(host=self.host, defaults={"boot_id": self.boot_id})
            if self.is_new:
                log.info("host %s was rebooted; its guests are back, or on their way", self.host)


def _idle_on(host: Host) -> Any:
    return Instance.objects.filter(host=host.name, task_state=None, deleted_at=None)


def _has_busy_instances(host: Host) -> bool:
    return bool(Instance.objects.filter(host=host.name, deleted_at=None).exclude(task_state=None).exists())


def _row(values: Mapping[str, Any]) -> Row:
    return Row(
        vm_state=VmState(values["vm_state"]),
        power_state=PowerState(values["power_state"]),
        previous_vm_state=values["previous_vm_state"],
    )


def _sight(guest: Mapping[str, Any]) -> Sight:
    return Sight(power_state=PowerState(guest["power_state"]), reason=str(guest.get("reason") or ""))


def _judge(row: Row, sight: Sight, *, was_rebooted: bool) -> Finding | None:
    return judge(
        row,
        sight,
        was_rebooted=was_rebooted,
        resumes=settings.RESUME_GUESTS_ON_HOST_BOOT,
        policy=Policy(settings.UNEXPECTED_GUEST_POLICY),
    )


def _seen_at(message: Mapping[str, Any]) -> datetime:
    """When the host looked, never later than it did: by its clock, or by ours and the age that its look had."""
    now, sent = timezone.now(), float(message["sent_at"])
    looked = float(message.get("looked_at", sent))
    by_its_clock = datetime.fromtimestamp(looked, now.tzinfo)
    return min(by_its_clock, now - timedelta(seconds=max(sent - looked, 0.0)))


def _is_current(host: Host, instance_id: UUID, guest: Mapping[str, Any] | None, seen_at: datetime) -> bool:
    """Whether the look says something of now: no action is alive on the instance, and none came after it (rule R11).

    A guest's entry carries the turn that its host had seen. Of a guest that is not there nothing does: then the look
    counts once it is younger than the latest action by more than clocks may differ.
    """
    if guest is not None:
        return is_current(host, instance_id, int(guest.get("turn") or 0))
    actions = Action.objects.filter(target_id=instance_id)
    if actions.filter(state__in=LIVE).exists():
        return False
    ended = actions.aggregate(at=Max("finished_at"))["at"]
    return ended is None or ended < seen_at - timedelta(seconds=settings.DOWN_AFTER)


def _carry_out(host: Host, instance_id: UUID, row: Row, finding: Finding) -> None:
    """Begins the finding's action, or changes the row if it is still as it was."""
    changes: dict[str, Any] = {"power_state": finding.power_state}
    if finding.operation:
        if begin_own_action(instance_id=instance_id, operation=finding.operation, **changes) is not None:
            log.warning("instance %s on %s: %s", instance_id, host.name, finding.because)
        return
    if finding.vm_state is not None:
        changes["vm_state"] = finding.vm_state
    if compare_and_set(instance_id, expected_vm_state=row.vm_state, expected_task_state=None, **changes):
        log.info("instance %s on %s: %s", instance_id, host.name, finding.because or "its power state changed")
