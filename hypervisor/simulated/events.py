"""Facet `Events`: what the driver's own calls change, told from one thread for all simulated hosts of a process."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from hypervisor.spec import GuestState

log = logging.getLogger(__name__)

Handler = Callable[[GuestState, str], None]

_queue: queue.SimpleQueue[tuple[Handler, GuestState, str]] = queue.SimpleQueue()
_start = threading.Lock()
_thread: threading.Thread | None = None


class SimulatedEvents:
    """See `hypervisor.driver.Events`. A thousand hosts share a thread; events of other processes are not seen."""

    def __init__(self) -> None:
        self._handlers: tuple[Handler, ...] = ()

    def subscribe(self, handler: Handler) -> None:
        """See `hypervisor.driver.Events.subscribe`."""
        global _thread
        with _start:
            self._handlers += (handler,)
            if _thread is None or not _thread.is_alive():
                _thread = threading.Thread(target=_dispatch, name="simulated guest events", daemon=True)
                _thread.start()

    def happened(self, state: GuestState, event: str) -> None:
        """Queues an event for every handler."""
        for handler in self._handlers:
            _queue.put((handler, state, event))

    def close(self) -> None:
        """Hands out no more events."""
        self._handlers = ()


def _dispatch() -> None:
    while True:
        handler, state, event = _queue.get()
        try:
            handler(state, event)
        except Exception:  # one handler's failure must not cost the others their events
            log.exception("a handler failed on event %s of instance %s", event, state.instance_id)
