"""The process's one connection to libvirtd, opened anew when libvirtd was restarted, never used across a fork.

libvirt's event loop is registered before the first connection is opened and is never stopped: keepalive and events
need it, and it cannot be registered twice.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable

import libvirt

from hypervisor.errors import HypervisorUnreachable
from hypervisor.libvirt.failures import is_absent

log = logging.getLogger(__name__)

_KEEPALIVE = (5, 3)  # seconds between questions, unanswered ones before the connection counts as broken
_RETRY_SECONDS = 0.2
_loop_lock = threading.Lock()
_loop_pid: int | None = None

Hook = Callable[["libvirt.virConnect"], None]


class Connection:
    """A connection to `uri` that heals. Calls may come from several threads."""

    def __init__(self, uri: str, patience: float = 10.0) -> None:
        """`patience`: seconds for which `get` waits for a libvirtd that does not answer."""
        self._uri = uri
        self._patience = patience
        self._lock = threading.Lock()
        self._current: libvirt.virConnect | None = None
        self._hooks: list[Hook] = []
        self._pid = os.getpid()
        self._closing = threading.Event()

    def get(self) -> libvirt.virConnect:
        """A connection that was alive a moment ago. Errors: HypervisorUnreachable."""
        if os.getpid() != self._pid:
            raise RuntimeError("a libvirt connection was carried over a fork: open one in the new process")
        deadline = time.monotonic() + self._patience
        while True:
            with self._lock:  # not held between two attempts: each waits for its own time, and nobody is kept out
                try:
                    return self._connected()
                except libvirt.libvirtError as error:
                    if time.monotonic() >= deadline:
                        raise HypervisorUnreachable(
                            f"{self._uri} does not answer: {error.get_error_message()}. Does libvirtd run?"
                        ) from error
            self._closing.wait(_RETRY_SECONDS)

    def on_open(self, hook: Hook) -> None:
        """Calls `hook` with the connection that is open and with each that is opened later, before anybody uses it."""
        with self._lock:
            self._hooks.append(hook)
            if self._current is not None:
                with contextlib.suppress(libvirt.libvirtError):  # it is broken, and `get` will open another
                    hook(self._current)

    def close(self) -> None:
        """Closes for good; waiting calls fail with HypervisorUnreachable."""
        self._closing.set()
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._current is not None:
            for end in (self._current.unregisterCloseCallback, self._current.close):
                with contextlib.suppress(libvirt.libvirtError):
                    end()
            self._current = None

    def _connected(self) -> libvirt.virConnect:
        """The connection, opened if it has to be; raises libvirt's error when it cannot be."""
        if self._current is not None and _is_alive(self._current):
            return self._current
        if self._current is not None:
            log.warning("the connection to %s broke", self._uri)
            self._drop()
        if self._closing.is_set():
            raise HypervisorUnreachable(f"{self._uri}: the driver is closed")
        run_event_loop()
        opened = libvirt.open(self._uri)
        opened.setKeepAlive(*_KEEPALIVE)
        for hook in self._hooks:
            hook(opened)
        log.info("connected to %s", self._uri)
        self._current = opened
        return opened


def look_up(connection: libvirt.virConnect, instance_id: str) -> libvirt.virDomain | None:
    """The domain of that id on the connected host; None when there is none."""
    try:
        return connection.lookupByUUIDString(instance_id)
    except libvirt.libvirtError as error:
        if is_absent(error):
            return None
        raise


def _is_alive(connection: libvirt.virConnect) -> bool:
    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:
        return False


def run_event_loop() -> None:
    """After it libvirt's event loop runs in a thread of this process, for ever."""
    global _loop_pid
    with _loop_lock:
        if _loop_pid == os.getpid():
            return
        libvirt.registerErrorHandler(lambda _context, _error: None, None)  # errors are raised; none is printed
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=_loop, name="libvirt events", daemon=True).start()
        _loop_pid = os.getpid()


def _loop() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()
