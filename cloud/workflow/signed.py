"""Messages between conductors and hosts outside the chains of actions: each carries the signature of its host's key."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.utils import timezone

from cloud.celery import app
from cloud.workflow import tokens
from cloud.workflow.models import Host
from hypervisor import reports

log = logging.getLogger(__name__)


def sender(kind: str, message: dict[str, Any]) -> Host | None:
    """The host that signed `message`; None when nobody known did."""
    host = Host.objects.select_related("service").filter(name=message.get("host")).first()
    if host is None:
        log.error("dropped a %s of an unknown host %r: enrol it with manage.py enroll_host", kind, message.get("host"))
        return None
    if not reports.is_genuine(tokens.host_key(host), kind, message):
        log.error("dropped a %s that host %s did not sign", kind, host.name)
        return None
    return host


def sent_at(kind: str, host: Host, message: dict[str, Any]) -> datetime | None:
    """When the host sent it, by its clock; None when that is so long ago that it says nothing of now."""
    sent = datetime.fromtimestamp(float(message["sent_at"]), UTC)
    if (timezone.now() - sent).total_seconds() > settings.DOWN_AFTER:
        # It waited in a queue; or the clocks differ, and then this is all that is ever heard.
        log.warning("passed over a %s of host %s, sent at %s: late, or its clock is behind", kind, host.name, sent)
        return None
    return sent


def tell(host: Host, task: str, kind: str, body: dict[str, Any]) -> None:
    """Says something to a host, on its control queue. Nobody waits for it: the host asks again."""
    message = reports.signed_message(tokens.host_key(host), kind, {**body, "host": host.name})
    queue = reports.control_queue_of(host.name)
    try:
        app.send_task(task, args=[message], queue=queue, retry=False, expires=settings.DOWN_AFTER, argsrepr="(…)")
    except Exception as error:  # kombu and redis have no common base
        log.warning("host %s was not told %s: %s: %s", host.name, kind, type(error).__name__, error)
