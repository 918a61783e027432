"""Edges: what conductors take from the queue. No decision is made here.

Every task refuses a message that carries a chain, callbacks, errbacks or a chord (rule R7): a host could otherwise make
a conductor publish to another host's queue. `incoming.py` does so before any process of the pool sees the message.
"""

from __future__ import annotations

import logging
from typing import Any

from celery import Task
from celery.exceptions import Ignore

from cloud import context
from cloud.celery import app
from cloud.workflow import fencing, hello, hosts, runner, sweeps

log = logging.getLogger(__name__)


class GuardedTask(Task):
    """A task that is the end of every chain it is in."""

    Strategy = "cloud.workflow.incoming:strategy"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        request = self.request
        if request.chain or request.callbacks or request.errbacks or request.chord:
            log.error("refused a message of %s that carries further tasks", self.name)
            raise Ignore()
        return super().__call__(*args, **kwargs)


def _task(name: str) -> Any:
    return app.task(name=f"workflow.{name}", base=GuardedTask)


@_task("advance")
def advance(report: dict[str, Any]) -> None:
    """Carries an action on with what a report brings."""
    with context.bound(request_id=report.get("request_id")):
        runner.advance(report)


@_task("hello")
def say_hello(message: dict[str, Any]) -> None:
    """A host begins anew."""
    hello.hello(message)


@_task("renew")
def renew(message: dict[str, Any]) -> None:
    """Renews the lease of a leg at work."""
    hosts.renew(message)


@_task("heartbeat")
def heartbeat(message: dict[str, Any]) -> None:
    """A host lives, and says what it offers."""
    hosts.heartbeat(message)


@_task("guest_changed")
def guest_changed(message: dict[str, Any]) -> None:
    """A guest changed by itself, or by hand."""
    hosts.guest_changed(message)


@_task("answer")
def answer(message: dict[str, Any]) -> None:
    """A host answers a query."""
    hosts.answer(message)


@_task("fence")
def fence(name: str) -> None:
    """Switches off a host whose row says that it is to be; the message alone, which a host could send, does nothing."""
    fencing.carry_out(name)


@_task("sweep")
def sweep() -> None:
    """Repairs what was interrupted."""
    sweeps.run_all()
