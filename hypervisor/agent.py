"""What a host says by itself: heartbeats, renewals of leases, changes of guests; and its housekeeping."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypervisor import reports
from hypervisor.config import HostConfig
from hypervisor.executor import Executor
from hypervisor.spec import GuestState, encode

log = logging.getLogger(__name__)

_HOUSEKEEPING = 3600.0
Send = Callable[[str, dict[str, Any]], None]


@dataclass
class Agent:
    """The threads of one host beside its steps. `send(task, message)` publishes to the conductors."""

    config: HostConfig
    executor: Executor
    send: Send
    speaks_for_host: bool = True  # false in the control process: it renews leases only
    _seen: dict[str, Any] | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Starts the threads."""
        jobs: list[tuple[float, Callable[[], None]]] = [(self.config.lease_renewal, self.renew_leases)]
        if self.speaks_for_host:
            jobs += [(self.config.heartbeat_interval, job) for job in (self.look, self.beat)]
            jobs.append((_HOUSEKEEPING, self.keep_house))
            if self.executor.driver.events is not None:
                self.executor.driver.events.subscribe(self.guest_changed)
        for interval, job in jobs:
            thread = threading.Thread(target=self._repeat, args=(interval, job), daemon=True, name=job.__name__)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Ends the threads; returns when they have ended."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=5)

    def look(self) -> None:
        """Looks at what the host offers and which guests it has; the first look is told at once.

        It has a thread of its own: a hypervisor that is slow to answer must not make the host seem down.
        """
        is_first = self._seen is None
        driver = self.executor.driver
        self._seen = {
            "inventory": encode(driver.inventory.read()),
            "guests": [encode(guest) for guest in driver.lifecycle.guests()],
        }
        if is_first:
            self.beat()

    def beat(self) -> None:
        """Sends one heartbeat: that the host lives, and what was seen last. Nothing before the first look."""
        seen = self._seen
        if seen is not None:
            body = {"generation": self.executor.journal.generation(), **seen}
            self._signed("heartbeat", reports.HEARTBEAT, body)

    def renew_leases(self) -> None:
        """Sends one renewal for each step at work, and a last one for each that is over but for its leg."""
        for running in self.executor.to_renew():
            order = running.order
            self._signed(
                "renew",
                reports.RENEW,
                {
                    "action": running.leg["action"],
                    **{name: order[name] for name in ("seq", "verb", "turn", "generation")},
                    "progress": {
                        "percent": running.percent,
                        "message": running.message,
                        "details": running.details,
                        "is_past": running.is_past,
                    },
                },
            )

    def guest_changed(self, state: GuestState, event: str) -> None:
        """Sends one change of a guest, with the highest turn seen of it. What a step at work does itself is not news:
        its action is alive, and the conductor would pass the message over (rule R11)."""
        if self.executor.is_at_work_on(state.instance_id):
            return
        turn = self.executor.journal.of(state.instance_id).highest()
        body = {"generation": self.executor.journal.generation(), "turn": turn, "event": event, "guest": encode(state)}
        self._signed("guest_changed", reports.GUEST_CHANGED, body)

    def keep_house(self) -> None:
        """Prunes base images that no guest uses, and journals of targets long gone."""
        kept = {guest.instance_id for guest in self.executor.driver.lifecycle.guests()}
        self.executor.journal.prune(self.config.journal_days, kept)
        prune = getattr(self.executor.driver.images, "prune", None)
        if prune is not None:
            prune(self.config.base_image_days)

    def _signed(self, kind: str, task: str, body: dict[str, Any]) -> None:
        message = {**body, "host": self.config.name, "sent_at": time.time()}
        self.send(task, reports.signed_message(self.config.key, kind, message))

    def _repeat(self, interval: float, job: Callable[[], None]) -> None:
        while True:
            try:
                job()
            except Exception as error:  # the broker or libvirt is away: the next round may find it
                log.warning("%s: %s: %s", job.__name__, type(error).__name__, error)
            if self._stop.wait(interval):
                return
