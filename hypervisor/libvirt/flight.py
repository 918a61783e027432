"""One live migration on its way: libvirt's blocking call in a thread with a connection of its own, watched by another.

`abortJob` on the connection that migrates was seen to hang: whoever watches asks, aborts and steers over another one,
and waits for no call longer than some seconds.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import libvirt

from hypervisor.driver import Progress
from hypervisor.errors import HypervisorFailed, HypervisorUnreachable, Superseded
from hypervisor.libvirt.failures import is_absent, is_out_of_state
from hypervisor.migration import MigrationAborted, MigrationOrder, MigrationTimedOut, Wish

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.2
_CALL_SECONDS = 10.0
_END_SECONDS = 120.0  # for an aborted migration to end; then something is broken
_STATISTICS = {
    "memory_total": "memory_total_bytes",
    "memory_processed": "memory_processed_bytes",
    "memory_remaining": "memory_remaining_bytes",
    "disk_total": "disk_total_bytes",
    "disk_processed": "disk_processed_bytes",
    "disk_remaining": "disk_remaining_bytes",
}
_JOBS = (libvirt.VIR_DOMAIN_JOB_BOUNDED, libvirt.VIR_DOMAIN_JOB_UNBOUNDED)

T = TypeVar("T")


def within(seconds: float, doing: str, work: Callable[[], T]) -> T:
    """What `work` gives, or raises. Errors: HypervisorUnreachable, when it takes longer; it goes on in its thread."""
    answer: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            answer.append(work())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, name=doing, daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if not answer:
        raise HypervisorUnreachable(f"{doing}: no answer in {seconds:.0f} s")
    return answer[0]


def end_job(domain: libvirt.virDomain) -> None:
    """Asks that the domain's job end; waits for an answer for some seconds and not for the end."""
    try:
        within(_CALL_SECONDS, "aborting a migration", domain.abortJob)
    except libvirt.libvirtError as error:
        if not (is_out_of_state(error) or is_absent(error)):
            raise


class Flight:
    """The call. `over` is set when it has ended; `error` is what libvirt said then, None for success."""

    def __init__(self, uri: str, instance_id: str, to: str, parameters: dict[str, Any], flags: int) -> None:
        self.over = threading.Event()
        self.error: libvirt.libvirtError | None = None
        self._call = (uri, instance_id, to, parameters, flags)
        threading.Thread(target=self._run, name=f"migrating {instance_id}", daemon=True).start()

    def _run(self) -> None:
        uri, instance_id, to, parameters, flags = self._call
        try:
            connection = libvirt.open(uri)
            try:
                connection.setKeepAlive(5, 3)
                connection.lookupByUUIDString(instance_id).migrateToURI3(to, parameters, flags)
            finally:
                with contextlib.suppress(libvirt.libvirtError):
                    connection.close()
        except libvirt.libvirtError as error:
            self.error = error
        finally:
            self.over.set()


class Watch:
    """Who watches a flight: tells of its progress, follows wishes, keeps its time. `domain` is of another connection
    than the flight's; `wish` gives and takes what is asked of it; `keep_alive` is called again and again."""

    def __init__(
        self,
        flight: Flight,
        domain: libvirt.virDomain,
        order: MigrationOrder,
        wish: Callable[[], Wish | None],
        keep_alive: Callable[[], None],
    ) -> None:
        self._flight = flight
        self._domain = domain
        self._order = order
        self._wish = wish
        self._keep_alive = keep_alive
        self._began = time.monotonic()
        self._wants_force = self._is_forced = False
        self.was_paused = False  # by us, so that it converges
        self.is_post_copy = False  # the guest runs at the destination already: there is no way back

    def until_over(self, progress: Progress) -> None:
        """Returns when libvirt's call has ended by itself, however. Errors: MigrationAborted and MigrationTimedOut,
        once it was ended by us; Superseded, likewise; HypervisorFailed, when it does not end."""
        while not self._flight.over.wait(_POLL_SECONDS):
            self._keep_alive()
            try:
                statistics = self._statistics()
                progress(_percent(statistics), "migrating", statistics)
            except Superseded:
                if not self.is_post_copy:
                    self._end()
                    raise
            wish = self._wish() or (Wish(self._order.on_timeout) if self._is_late() else None)
            if wish == Wish.ABORT and not self.is_post_copy:
                is_late = self._is_late()
                self._end()
                if self._flight.error is None:
                    return  # it was faster
                if is_late:
                    raise MigrationTimedOut(f"it took longer than {self._order.timeout_seconds:.0f} s")
                raise MigrationAborted("it was aborted on request")
            self._wants_force |= wish == Wish.FORCE_COMPLETE
            if self._wants_force and not self._is_forced:
                self._force()

    def _is_late(self) -> bool:
        return 0 < self._order.timeout_seconds < time.monotonic() - self._began

    def _end(self) -> None:
        """After it libvirt's call has ended."""
        deadline = time.monotonic() + _END_SECONDS
        while not self._flight.over.is_set():
            if time.monotonic() >= deadline:
                raise HypervisorFailed("the migration was aborted and does not end")
            with contextlib.suppress(HypervisorUnreachable):
                end_job(self._domain)
            self._flight.over.wait(5 * _POLL_SECONDS)

    def _force(self) -> None:
        """Lets the guest run on at the destination now where that is allowed, or stand still until it is there. Before
        the memory goes (the disk is copied first) there is nothing to force yet: it is tried again."""
        try:
            if self._order.may_post_copy:
                within(_CALL_SECONDS, "switching to post-copy", lambda: self._domain.migrateStartPostCopy(0))
                self.is_post_copy = True
                log.info("the migration switched to post-copy")
            elif not self._order.is_paused:
                within(_CALL_SECONDS, "pausing a migrating guest", self._domain.suspend)
                self.was_paused = True
                log.info("the guest was paused, for its migration to end")
            self._is_forced = True
        except (libvirt.libvirtError, HypervisorUnreachable) as error:
            log.warning("the migration cannot be forced yet: %s", error)

    def _statistics(self) -> dict[str, Any]:
        try:
            said = within(_CALL_SECONDS, "reading a migration's progress", self._domain.jobStats)
        except libvirt.libvirtError as error:
            if not (is_absent(error) or is_out_of_state(error)):  # it has just gone
                log.warning("the migration's progress is not known: %s", error)
            return {}
        except HypervisorUnreachable as error:
            log.warning("the migration's progress is not known: %s", error)
            return {}
        return {ours: int(said[theirs]) for theirs, ours in _STATISTICS.items() if theirs in said}


def _percent(statistics: dict[str, Any]) -> int | None:
    total = statistics.get("memory_total_bytes", 0) + statistics.get("disk_total_bytes", 0)
    left = statistics.get("memory_remaining_bytes", 0) + statistics.get("disk_remaining_bytes", 0)
    return max(0, min(100, 100 - 100 * left // total)) if total else None
