"""Questions to a host: asked on its control queue, answered through the conductors into a row. For reads only."""

from __future__ import annotations

import time
from typing import Any

from cloud.celery import app
from cloud.errors import NotFound, Unavailable
from cloud.workflow import tokens
from cloud.workflow.models import Host, HostQuery
from hypervisor import reports

_POLL = 0.02


class HostSilent(Unavailable):
    """The host did not answer in time."""

    code = "host.silent"


class HostRefused(NotFound):
    """The host answered that it cannot."""

    code = "host.refused"


def ask(host: str, name: str, arguments: dict[str, Any], timeout: float = 10.0) -> Any:
    """Asks `host` the query `name` and waits, outside any transaction, at most `timeout` seconds for the answer.

    Raises HostSilent (503) when it is down or does not answer, HostRefused with its words when it cannot.
    """
    row = Host.objects.select_related("service").filter(name=host).first()
    if row is None or not row.is_up:
        raise HostSilent(f"Host {host} is down; it cannot be asked for {name} now.", host=host)
    query = HostQuery.objects.create(host=host, name=name, arguments=arguments)
    message = {"id": str(query.pk), "host": host, "name": name, "arguments": arguments, "sent_at": time.time()}
    message["token"] = reports.sign(tokens.host_key(row), "query", message)
    try:
        queue = reports.control_queue_of(host)
        app.send_task("hypervisor.answer_query", args=[message], queue=queue, retry=False, expires=timeout)
    except Exception as error:  # kombu and redis have no common base
        raise HostSilent(f"The message queue is away; host {host} cannot be asked for {name} now.") from error
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        time.sleep(_POLL)
        query.refresh_from_db(fields=["answer", "error", "answered_at"])
        if query.answered_at is not None:
            query.delete()
            return _read(query)
    raise HostSilent(f"Host {host} did not answer {name} within {timeout:g} s.", host=host)


def _read(query: HostQuery) -> Any:
    if query.error is None:
        return query.answer
    raise HostRefused(str(query.error.get("message", "The host refused.")), host=query.host, reason=query.error)
