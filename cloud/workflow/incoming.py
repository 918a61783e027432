"""What a conductor takes from its queues: a call of one task, and nothing that would follow it (rule R7).

The refusal is in the worker's first process, before a task begins: an errback is called by that process when a task
runs out of time or takes its process with it, and no task could refuse it then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery.worker.strategy import default

log = logging.getLogger(__name__)


def strategy(task: Any, app: Any, consumer: Any, **options: Any) -> Callable[..., Any]:
    """Celery's way to take a message of `task`, for those that carry nothing further. Any other is taken off the queue
    and logged."""
    take = default(task, app, consumer, **options)

    def guarded(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **more: Any) -> Any:
        carried = cargo(message.payload)
        if carried:
            log.error("refused a message of %s that carries %s", task.name, carried)
            return ack(log, consumer.connection_errors)
        return take(message, body, ack, reject, callbacks, **more)

    return guarded


def cargo(payload: Any) -> str:
    """What the decoded body of a message carries besides a call: names, or that it is none; empty for a plain one."""
    if not (isinstance(payload, list) and len(payload) == 3):
        return "no call"
    args, kwargs, embedded = payload
    if not (isinstance(args, list) and isinstance(kwargs, dict) and isinstance(embedded, dict)):
        return "no call"
    return ", ".join(sorted(str(name) for name, further in embedded.items() if further))
