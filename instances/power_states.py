"""Keeps power_state true: what hypervisors say of guests, as the engine lets it through (rule R11)."""

from __future__ import annotations

import logging
from typing import Any

from django.utils import timezone

from cloud.workflow.hosts import is_current
from cloud.workflow.models import Host
from instances.models import Instance
from instances.states import PowerState, VmState

log = logging.getLogger(__name__)

_STOPPED = (PowerState.SHUTDOWN, PowerState.CRASHED)


def observe_event(host: Host, message: dict[str, Any]) -> None:
    """A guest changed without an action: its power_state follows, and a guest that went off by itself is STOPPED."""
    _follow(host, message["guest"])


def observe_heartbeat(host: Host, message: dict[str, Any]) -> None:
    """The guests of a heartbeat: those whose power_state the database has otherwise, where that is news."""
    seen = {guest["instance_id"]: guest for guest in message.get("guests", ())}
    if not seen:
        return
    rows = Instance.objects.filter(pk__in=seen, host=host.name, task_state=None, deleted_at=None)
    for pk, power_state in rows.values_list("pk", "power_state"):
        guest = seen[str(pk)]
        if guest["power_state"] != power_state and is_current(host, pk, guest.get("turn", 0)):
            _follow(host, guest)


def _follow(host: Host, guest: dict[str, Any]) -> None:
    power_state = guest["power_state"]
    idle = Instance.objects.filter(pk=guest["instance_id"], host=host.name, task_state=None, deleted_at=None)
    changes: dict[str, Any] = {"power_state": power_state, "updated_at": timezone.now()}
    if power_state in _STOPPED and idle.filter(vm_state=VmState.ACTIVE).update(vm_state=VmState.STOPPED, **changes):
        log.info("the guest of instance %s went off by itself: it is stopped", guest["instance_id"])
        return
    idle.exclude(power_state=power_state).update(**changes)
