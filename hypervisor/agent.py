"""What a host says by itself: hello, heartbeats, renewals of leases, changes of guests; and its housekeeping."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cloud import context
from hypervisor import reports
from hypervisor.config import HostConfig
from hypervisor.executor import Executor
from hypervisor.spec import GuestState, encode
from hypervisor.welcome import Debts, clear_away, let_go

log = logging.getLogger(__name__)

_HOUSEKEEPING = 3600.0
_POLL = 0.05  # seconds between two looks for the answer to a hello
_FIRST_PATIENCE = 2.0  # seconds before a hello is said again; doubled each time, up to the heartbeat's interval
Send = Callable[[str, dict[str, Any]], None]


@dataclass
class Agent:
    """The threads of one host beside its steps. `send(task, message)` publishes to the conductors."""

    config: HostConfig
    executor: Executor
    send: Send
    speaks_for_host: bool = True  # false in the control process: it renews leases only
    _seen: dict[str, Any] | None = None
    _hello: str = ""  # the id of the hello that waits for its answer
    _said_at: float = 0.0
    _patience: float = _FIRST_PATIENCE
    _limit: float = 0.0  # seconds without an acknowledgement after which the host is cut off
    _beats: dict[float, tuple[float, int]] = field(default_factory=dict)  # sent_at → monotonic clock, how many news
    _is_new: bool = True  # until a heartbeat of this generation was acknowledged
    _news: list[dict[str, Any]] = field(default_factory=list)  # what was paid, until a heartbeat with it was heard
    _debts: Debts = field(default_factory=Debts)
    _interrupted: list[dict[str, Any]] = field(default_factory=list)  # orders that a killed worker had begun
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    @property
    def is_waiting(self) -> bool:
        """Its hello is not answered yet."""
        return bool(self._hello)

    def start(self) -> None:
        """Starts the threads. The host takes no work before its hello is answered."""
        jobs: list[tuple[Callable[[], float], str]] = [(_every(self.config.lease_renewal, self.renew_leases), "leases")]
        if self.speaks_for_host:
            if not self._hello:
                self.leave()
            jobs.append((self.keep_in_touch, "heartbeat"))
            jobs.append((_every(self.config.heartbeat_interval, self.look), "look"))
            jobs.append((_every(_HOUSEKEEPING, self.keep_house), "housekeeping"))
            if self.executor.driver.events is not None:
                self.executor.driver.events.subscribe(self.guest_changed)
        for job, name in jobs:
            thread = threading.Thread(target=self._repeat, args=(job, name), daemon=True, name=name)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Ends the threads; returns when they have ended."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=5)

    def look(self) -> None:
        """Looks at what the host offers and which guests it has.

        It has a thread of its own: a hypervisor that is slow to answer must not make the host seem down. The turn of a
        guest is read before its state, so that an observation is never older than it says (rule R11); of a guest that
        was not there at the last look it is 0, and the next look counts.
        """
        driver = self.executor.driver
        turns = {
            guest["instance_id"]: self._turn(guest["instance_id"]) for guest in (self._seen or {}).get("guests", ())
        }
        self._seen = {
            "looked_at": time.time(),
            "inventory": encode(driver.inventory.read()),
            "guests": [{**encode(g), "turn": turns.get(g.instance_id, 0)} for g in driver.lifecycle.guests()],
        }

    # --- hello and heartbeats (rule R6) -----------------------------------------------------------------------------

    def leave(self) -> None:
        """From here on the host takes no work, until a hello that is yet to be said was answered."""
        self._hello = self.executor.journal.standing.leave()
        self._said_at, self._patience, self._is_new, self._news, self._debts = 0.0, _FIRST_PATIENCE, True, [], Debts()

    def keep_in_touch(self) -> float:
        """Says hello and waits for its answer, or beats; leaves when the host is cut off, or is told to. Gives the
        seconds until it wants to be called again."""
        if not self._hello:
            self._heed()
        if not self._hello:
            self._pay_again()
            self.beat()
            return self.config.heartbeat_interval
        answer = self.executor.journal.standing.answer(self._hello)
        if answer is not None:
            self._enter(answer)
            return _POLL  # what it paid is told until it is heard
        if time.monotonic() - self._said_at >= self._patience or not self._said_at:
            self._say_hello()
        return _POLL

    def _say_hello(self) -> None:
        if self._said_at:
            log.warning("nobody answered the hello of host %s: says it again", self.config.name)
            self._patience = min(2 * self._patience, self.config.heartbeat_interval)
        else:
            self.look()  # which guests are here is asked at this moment
        self._said_at = time.monotonic()
        guests = [guest["instance_id"] for guest in (self._seen or {}).get("guests", ())]
        known = self.executor.journal.standing.known()
        self._signed("hello", reports.HELLO, {"hello": self._hello, "generation": known, "guests": guests})

    def _enter(self, answer: dict[str, Any]) -> None:
        """Does what the answer asks for, then takes work under the generation that it brings."""
        with context.bound(host=self.config.name):
            self._interrupted = self.executor.journal.interrupted()
            let_go(self.executor, answer)
            self._debts = Debts(list(answer["debts"]))
            self._news = self._debts.pay(self.executor)
            clear_away(self.executor, answer, self._debts)
            self._limit = float(answer["down_after"])
            self._beats.clear()
            standing = self.executor.journal.standing
            standing.silent_from = self._said_at + self._limit
            standing.enter(int(answer["generation"]))
            self._hello = ""
            log.info("host %s takes work under generation %s", self.config.name, answer["generation"])

    def beat(self) -> None:
        """Sends one heartbeat: that the host lives, and what was seen last. Nothing before the first look, nor while
        the host waits to be welcomed.

        It asks for an acknowledgement when the last one is getting old, and until its news were heard.
        """
        if self._seen is None or self._hello:
            return
        now, standing = time.monotonic(), self.executor.journal.standing
        body: dict[str, Any] = {"generation": standing.known(), **self._seen}
        body |= {"is_first": self._is_new, "paid": self._news}
        if self._is_new:
            body["interrupted"] = self._interrupted
        is_old = standing.silent_from - now < self._limit / 2 + self.config.heartbeat_interval
        body["wants_answer"] = bool(is_old or self._is_new or self._news)
        sent_at = self._signed("heartbeat", reports.HEARTBEAT, body)
        self._beats = {at: beat for at, beat in self._beats.items() if now - beat[0] < self._limit}
        self._beats[sent_at] = (now, len(self._news))

    def _heed(self) -> None:
        """Takes note of what the conductors said of the heartbeats, or did not say for too long."""
        standing = self.executor.journal.standing
        said = standing.heard()
        if said is not None and said["of_generation"] == standing.known():
            if said["generation"] != said["of_generation"]:
                log.warning(
                    "host %s was told to say hello: it was marked down, or is another generation", self.config.name
                )
                self.leave()
                return
            beat = self._beats.pop(said["sent_at"], None)
            if beat is not None:
                standing.silent_from = max(standing.silent_from, beat[0] + self._limit)
                self._is_new, self._news = False, self._news[beat[1] :]
                self._beats.clear()  # they told the same news; the next one tells what is left
        if time.monotonic() > standing.silent_from:
            log.warning("host %s was cut off: nobody heard it for %.0f s", self.config.name, self._limit)
            self.leave()

    def _pay_again(self) -> None:
        if self._debts.unpaid:
            with context.bound(host=self.config.name):
                self._news += self._debts.pay(self.executor)

    # --- what happens at work ---------------------------------------------------------------------------------------

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
        generation = self.executor.journal.standing.known()
        body = {"generation": generation, "turn": self._turn(state.instance_id), "event": event, "guest": encode(state)}
        self._signed("guest_changed", reports.GUEST_CHANGED, body)

    def keep_house(self) -> None:
        """Prunes base images that no guest uses, and journals of targets long gone."""
        kept = {guest.instance_id for guest in self.executor.driver.lifecycle.guests()}
        self.executor.journal.prune(self.config.journal_days, kept)
        prune = getattr(self.executor.driver.images, "prune", None)
        if prune is not None:
            prune(self.config.base_image_days)

    def _turn(self, instance_id: str) -> int:
        return self.executor.journal.of(instance_id).highest()

    def _signed(self, kind: str, task: str, body: dict[str, Any]) -> float:
        """Sends it; gives the time that it carries."""
        sent_at = time.time()
        message = {**body, "host": self.config.name, "sent_at": sent_at}
        self.send(task, reports.signed_message(self.config.key, kind, message))
        return sent_at

    def _repeat(self, job: Callable[[], float], name: str) -> None:
        while True:
            try:
                pause = job()
            except Exception as error:  # the broker or libvirt is away: the next round may find it
                log.warning("%s: %s: %s", name, type(error).__name__, error)
                pause = self.config.lease_renewal
            if self._stop.wait(pause):
                return


def _every(interval: float, job: Callable[[], None]) -> Callable[[], float]:
    """`job`, which wants to be called again after `interval` seconds."""

    def run() -> float:
        job()
        return interval

    return run
