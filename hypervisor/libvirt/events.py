"""Facet `Events`: changes of our domains, handed out from a thread of its own.

libvirt's event thread must never wait for libvirtd, so its callbacks only put into a queue; the dispatcher looks up
the guest's state, which may be newer than the event. When libvirtd went away the dispatcher connects again.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

import libvirt

from hypervisor.errors import HypervisorFailed, HypervisorUnreachable
from hypervisor.libvirt.connection import Connection
from hypervisor.libvirt.lifecycle import LibvirtLifecycle
from hypervisor.spec import GuestState

log = logging.getLogger(__name__)

Handler = Callable[[GuestState, str], None]

_EVENTS = {
    libvirt.VIR_DOMAIN_EVENT_DEFINED: "defined",
    libvirt.VIR_DOMAIN_EVENT_UNDEFINED: "undefined",
    libvirt.VIR_DOMAIN_EVENT_STARTED: "started",
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: "suspended",
    libvirt.VIR_DOMAIN_EVENT_RESUMED: "resumed",
    libvirt.VIR_DOMAIN_EVENT_STOPPED: "stopped",
    libvirt.VIR_DOMAIN_EVENT_SHUTDOWN: "shutdown",
    libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED: "suspended",
    libvirt.VIR_DOMAIN_EVENT_CRASHED: "crashed",
}
_SHUTDOWN_STATE = 4
_RECONNECT, _END = object(), object()


def name_of(event: int, detail: int) -> str | None:
    """Our word for libvirt's event; None for one that this version does not know."""
    if event == libvirt.VIR_DOMAIN_EVENT_STOPPED and detail == libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED:
        return "crashed"
    return _EVENTS.get(event)


class LibvirtEvents:
    """See `hypervisor.driver.Events`."""

    def __init__(self, connection: Connection, lifecycle: LibvirtLifecycle) -> None:
        self._connection = connection
        self._lifecycle = lifecycle
        self._handlers: list[Handler] = []
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._actions: dict[str, str] = {}  # of each guest of ours seen: an undefined domain has no metadata to ask
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def subscribe(self, handler: Handler) -> None:
        """See `hypervisor.driver.Events.subscribe`. Connects in the background: libvirtd may be away."""
        with self._lock:
            self._handlers.append(handler)
            if self._thread is None:
                self._connection.on_open(self._register)
                self._queue.put(_RECONNECT)
                self._thread = threading.Thread(target=self._dispatch, name="guest events", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        self._queue.put(_END)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=5)

    def _register(self, opened: libvirt.virConnect) -> None:
        opened.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._received, None)
        opened.registerCloseCallback(lambda *_: self._queue.put(_RECONNECT), None)

    def _received(self, _opened: object, domain: libvirt.virDomain, event: int, detail: int, _opaque: object) -> None:
        self._queue.put((domain.UUIDString(), name_of(event, detail)))

    def _dispatch(self) -> None:
        while (item := self._queue.get()) is not _END:
            try:
                if item is _RECONNECT:
                    self._know_guests()
                else:
                    self._hand_out(*item)
            except HypervisorUnreachable as error:
                log.warning("no events of guests: %s", error)
                self._queue.put(_RECONNECT)
            except HypervisorFailed as error:
                log.warning("an event of a guest is lost: %s", error)

    def _know_guests(self) -> None:
        """Connects, if need be, and notes whose guests are there."""
        self._actions = {guest.instance_id: guest.action_id for guest in self._lifecycle.guests()}

    def _hand_out(self, instance_id: str, event: str | None) -> None:
        state = self._lifecycle.state(instance_id)
        if state is not None:
            self._actions[instance_id] = state.action_id
        elif instance_id in self._actions:
            action = self._actions[instance_id]
            state = GuestState(instance_id=instance_id, power_state=_SHUTDOWN_STATE, action_id=action)
        if state is None or event is None:
            return  # a domain of somebody else
        if event == "undefined":
            self._actions.pop(instance_id, None)
        for handler in self._handlers:
            try:
                handler(state, event)
            except Exception:  # one handler's failure must not cost the others their events
                log.exception("a handler failed on event %s of instance %s", event, instance_id)
