"""What is let in from a queue: a message is somebody else's bytes until it was looked at here (rule R7).

kombu and Celery believe what a message says of itself, and a compute host may write any bytes into the queue of the
conductors. Seen before this was here: bytes that are no JSON, and a task name that is a list, end a worker, the second
at each start again; a time limit with an errback makes a conductor publish to another host's queue; and the
`delivery_info` of a message is where it is put back, which may be another host's queue too.

Django-free: conductors and compute workers use it alike.
"""

from __future__ import annotations

import base64
import logging
import uuid
from queue import Empty
from typing import Any

from kombu.transport import redis as transport

log = logging.getLogger(__name__)

# Headers that are kept, when they are text; of the others none is needed here.
_TEXTS = ("id", "task", "root_id", "parent_id", "argsrepr", "kwargsrepr", "origin", "expires", "lang")


class NotPlain(ValueError):
    """A message that is not a plain call of one task, now."""


def plain(message: Any, queue: str) -> dict[str, Any]:
    """The message as it is let in from `queue`: its headers are those of a plain call, and where it would be put back
    is the queue that it was taken from. Raises NotPlain, saying what is wrong with it."""
    try:
        headers, properties, body = message["headers"], message["properties"], message["body"]
        base64.b64decode(body)
        if properties["body_encoding"] != "base64":
            raise NotPlain("a body that is not in base64")
        told = properties.get("delivery_info") or {}
        is_again = bool(told.get("redelivered"))
        texts = {name: headers[name] for name in _TEXTS if isinstance(headers.get(name), str)}
        if not texts.get("id") or not texts.get("task"):
            raise NotPlain("no task")
        if headers.get("eta") or any(headers.get("timelimit") or ()):
            raise NotPlain("a time of its own to begin or to end")
    except NotPlain:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise NotPlain(f"no message of ours: {type(error).__name__}") from None
    return {
        "body": body,
        "content-type": message.get("content-type"),
        "content-encoding": message.get("content-encoding"),
        "headers": {**texts, "retries": 0, "eta": None, "timelimit": [None, None], "ignore_result": True},
        "properties": {
            "body_encoding": "base64",
            "correlation_id": texts["id"],
            "delivery_info": {"exchange": "", "routing_key": queue, "redelivered": is_again},
            # Its own tag may be that of a message at work, whose record it would take.
            "delivery_tag": str(uuid.uuid4()),
            "delivery_mode": 2,
            "priority": 0,
        },
    }


def guard() -> None:
    """Makes kombu's Redis transport hand on plain messages alone; any other is logged and dropped. Twice is once."""
    deliver, read = transport.Transport._deliver, transport.Channel._brpop_read  # type: ignore[attr-defined]
    if getattr(deliver, "is_guarded", False):
        return

    def guarded_deliver(self: Any, message: Any, queue: str) -> Any:
        if any(queue in channel._fanout_queues for channel in self.channels if channel):
            return deliver(self, message, queue)  # events and remote control: no host may publish those
        try:
            message = plain(message, queue)
        except NotPlain as error:
            log.error("dropped a message from the queue %s: %s", queue, error)
            return None
        return deliver(self, message, queue)

    def guarded_read(self: Any, **options: Any) -> Any:
        try:
            return read(self, **options)
        except (ValueError, RecursionError) as error:
            log.error("dropped a message that cannot be read: %s: %.200s", type(error).__name__, error)
            raise Empty from None

    guarded_deliver.is_guarded = True  # type: ignore[attr-defined]
    transport.Transport._deliver = guarded_deliver  # type: ignore
    transport.Channel._brpop_read = guarded_read  # type: ignore
