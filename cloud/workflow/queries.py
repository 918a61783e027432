"""Questions to a host: asked on its control queue, answered through the conductors into a row. For reads only."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from cloud.celery import app
from cloud.errors import NotFound, Unavailable
from cloud.workflow import tokens
from cloud.workflow.models import Host, HostQuery
from hypervisor import reports

log = logging.getLogger(__name__)

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
    answer = ask_each([host], name, arguments, timeout)[host]
    if isinstance(answer, Exception):
        raise answer
    return answer


def ask_each(
    hosts: Sequence[str],
    name: str,
    arguments: dict[str, Any],
    timeout: float = 10.0,
    *,
    heard: Callable[[str, Any], None] = lambda host, answer: None,
) -> dict[str, Any]:
    """Asks all of `hosts` at once and waits, outside any transaction, at most `timeout` seconds for all of them.

    Each host's answer, or the HostSilent or HostRefused that `ask` would have raised; `heard` is called with each as it
    comes.
    """
    known = {row.name: row for row in Host.objects.select_related("service").filter(name__in=hosts)}
    answers: dict[str, Any] = {}
    waiting: dict[UUID, str] = {}
    is_queue_away = False

    def hear(host: str, answer: Any) -> None:
        answers[host] = answer
        heard(host, answer)

    for host in hosts:
        row = known.get(host)
        if row is None or not row.is_up:
            hear(host, HostSilent(f"Host {host} is down; it cannot be asked for {name} now.", host=host))
            continue
        try:
            if not is_queue_away:
                waiting[_send(row, name, arguments, timeout)] = host
                continue
        except Exception as error:  # kombu and redis have no common base
            log.warning("host %s cannot be asked: %s: %s", host, type(error).__name__, error)
            is_queue_away = True  # nor can the others: to find that out takes seconds each
        hear(host, HostSilent(f"The message queue is away; host {host} cannot be asked for {name} now.", host=host))
    until = time.monotonic() + timeout
    while waiting and time.monotonic() < until:
        time.sleep(_POLL)
        for query in HostQuery.objects.filter(pk__in=list(waiting), answered_at__isnull=False):
            host = waiting.pop(query.pk)
            query.delete()
            hear(host, _read(query))
    for host in waiting.values():
        hear(host, HostSilent(f"Host {host} did not answer {name} within {timeout:g} s.", host=host))
    return answers


def _send(host: Host, name: str, arguments: dict[str, Any], timeout: float) -> UUID:
    query = HostQuery.objects.create(host=host.name, name=name, arguments=arguments)
    message = {"id": str(query.pk), "host": host.name, "name": name, "arguments": arguments, "sent_at": time.time()}
    message["token"] = reports.sign(tokens.host_key(host), "query", message)
    queue = reports.control_queue_of(host.name)
    app.send_task("hypervisor.answer_query", args=[message], queue=queue, retry=False, expires=timeout)
    return query.pk


def _read(query: HostQuery) -> Any:
    if query.error is None:
        return query.answer
    return HostRefused(str(query.error.get("message", "The host refused.")), host=query.host, reason=query.error)
