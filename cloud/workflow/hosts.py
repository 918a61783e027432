"""What hosts say by themselves, believed only with their signature: heartbeats, renewals, changes, answers."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from functools import cache
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.module_loading import import_string

from cloud.workflow import tokens
from cloud.workflow.models import Action, ActionEvent, Host, HostQuery, Service
from cloud.workflow.states import LIVE, OPEN, EventState
from cloud.workflow.turn import lease_end
from hypervisor import reports

log = logging.getLogger(__name__)


@cache
def _observers(setting: str) -> tuple[Any, ...]:
    return tuple(import_string(path) for path in getattr(settings, setting))


def _sender(kind: str, message: dict[str, Any]) -> Host | None:
    """The host that signed `message`; None when nobody known did."""
    host = Host.objects.select_related("service").filter(name=message.get("host")).first()
    if host is None:
        log.error("dropped a %s of an unknown host %r: enrol it with manage.py enroll_host", kind, message.get("host"))
        return None
    if not reports.is_genuine(tokens.host_key(host), kind, message):
        log.error("dropped a %s that host %s did not sign", kind, host.name)
        return None
    return host


def heartbeat(message: dict[str, Any]) -> None:
    """Marks the host as seen (and up), and lets the rooms see its inventory and guests."""
    host = _sender("heartbeat", message)
    if host is None:
        return
    sent = datetime.fromtimestamp(float(message["sent_at"]), UTC)
    now = timezone.now()
    if (now - sent).total_seconds() > settings.DOWN_AFTER:
        # It waited in a queue and says nothing of now; or the clocks differ, and then this is all that is ever heard.
        log.warning("passed over a heartbeat of host %s, sent at %s: late, or its clock is behind", host.name, sent)
        return
    seen = Service.objects.filter(pk=host.service_id).exclude(last_seen_at__gte=min(sent, now))
    if not seen.update(last_seen_at=min(sent, now)):
        return  # replayed, or overtaken by a later one
    if not host.is_up and not host.service.is_forced_down:
        Host.objects.filter(pk=host.pk).update(is_up=True)
        host.is_up = True
        log.info("host %s is up", host.name)
    host.service.last_seen_at = now
    for observe in _observers("WORKFLOW_HEARTBEAT_OBSERVERS"):
        observe(host, message)


def guest_changed(message: dict[str, Any]) -> None:
    """Lets the rooms see a change of a guest, unless an action is alive on it, or ended after the change (rule R11)."""
    host = _sender("guest_changed", message)
    if host is None or message["generation"] != host.generation:
        return
    with transaction.atomic():
        actions = Action.objects.filter(target_id=message["guest"]["instance_id"])
        given = ActionEvent.objects.filter(action__in=actions, host=host.name).aggregate(turn=Max("turn"))["turn"]
        if given is None or message["turn"] < given or actions.filter(state__in=LIVE).exists():
            return
        for observe in _observers("WORKFLOW_GUEST_OBSERVERS"):
            observe(host, message)


def renew(message: dict[str, Any]) -> None:
    """Renews the lease of the leg that a host works on: the step at work is BEGUN, the others of its leg wait on."""
    host = _sender("renew", message)
    if host is None:
        return
    mine = ActionEvent.objects.filter(
        action=message["action"], turn=message["turn"], host=host.name, generation=message["generation"], state__in=OPEN
    )
    mine.update(lease_until=lease_end())
    mine.filter(seq=message["seq"], verb=message["verb"]).update(state=EventState.BEGUN, progress=message["progress"])


def answer(message: dict[str, Any]) -> None:
    """Keeps a host's answer to a query."""
    host = _sender("answer", message)
    if host is not None:
        HostQuery.objects.filter(pk=message["query"], host=host.name, answered_at=None).update(
            answer=message["answer"], error=message["error"], answered_at=timezone.now()
        )
