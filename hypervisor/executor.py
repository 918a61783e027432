"""Carries one ordered step out on one host, by the rules of the journal (R3), tokens (R7) and probing (R10)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from cloud import context
from cloud.errors import CloudError, StepError, describe
from hypervisor import reports
from hypervisor.driver import Driver
from hypervisor.errors import HostBroken, StepUnknown, Superseded
from hypervisor.journal import Behind, Journal, Running, TargetJournal
from hypervisor.sealed import unseal
from hypervisor.spec import GuestSpec, Maker, decode, digest
from hypervisor.steps import HOST_STEPS, StepHost
from hypervisor.steps.declare import HostStep

log = logging.getLogger(__name__)

_POLL = 0.02  # seconds

Order = dict[str, Any]
Leg = dict[str, Any]


@dataclass
class RunningStep:
    """A step at work: what its lease renewals say."""

    leg: Leg
    order: Order
    percent: int | None = None
    message: str = ""
    details: dict[str, Any] | None = None
    was_renewed: bool = False
    is_past: bool = False  # it is over, and the next step of its leg has to wait in the queue


@dataclass
class StepProgress:
    """The `Progress` of a step: remembers what it says, and stops the step once a higher turn was seen."""

    journal: TargetJournal
    running: RunningStep
    lock_fd: int = -1

    def __call__(self, percent: int | None = None, message: str = "", details: dict[str, Any] | None = None) -> None:
        """Raises Superseded when a higher turn was seen."""
        self.running.percent, self.running.message, self.running.details = percent, message, details
        try:
            self.journal.check(self.running.order["turn"])
        except Behind as behind:
            raise Superseded(str(behind)) from None


@dataclass
class Executor:
    """The one place of a host where steps happen."""

    name: str
    key: str
    driver: Driver
    journal: Journal
    steps: dict[str, HostStep] = field(default_factory=lambda: {step.name: step for step in HOST_STEPS})
    patience: float = 5.0  # seconds that an order waits for the host to be welcomed
    fault_points: Callable[[str, Order], None] = lambda point, order: None  # tests die here
    _in_hand: set[str] = field(default_factory=set)
    _running: dict[str, RunningStep] = field(default_factory=dict)
    _past: list[RunningStep] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def to_renew(self) -> list[RunningStep]:
        """What the conductors must hear of now: the steps at work, and once those that are over since.

        Without the latter a leg whose next step waits in a long queue would look like one whose host fell silent.
        """
        with self._guard:
            past, self._past = self._past, []
            for running in self._running.values():
                running.was_renewed = True
            return [*past, *self._running.values()]

    def is_at_work_on(self, target_id: str) -> bool:
        """Whether a step of that target is at work now, in this process."""
        with self._guard:
            return any(running.leg["target"] == target_id for running in self._running.values())

    def carry(self, leg: Leg, order: Order, *, entering: int = 0) -> dict[str, Any] | None:
        """Does what `order` says and gives its signed result; None when nobody should hear of it.

        `entering`: the generation that the host is about to enter; what it owes it pays before that, under this one.
        Never raises for what a step does wrong: that is in the result.
        """
        ids = {"request_id": leg.get("request_id"), "action": leg.get("action"), "instance": leg.get("target")}
        with context.bound(**ids, host=self.name):
            refusal = self._refusal(leg, order)
            if refusal is None and entering != order["generation"]:
                refusal = self._refusal_of_generation(leg, order)
            if refusal is not None:
                return refusal or None
            journal = self.journal.of(leg["target"])
            try:
                with self._only_one(order["token"]):
                    highest = journal.raise_turn(order["turn"])
                    if highest > order["turn"]:
                        raise Behind(highest)
                    with journal.locked(order["turn"], order["token"]) as lock_fd:
                        return self._under_lock(journal, leg, order, lock_fd, entering)
            except Behind as behind:
                log.warning("refused %s of turn %s: %s", order["name"], order["turn"], behind)
                return self._result(leg, order, "behind", time.time(), output={"highest": behind.highest})
            except Running:
                log.warning("dropped a duplicate of %s, turn %s, which is in hand", order["name"], order["turn"])
            except Superseded as reason:
                log.warning("stopped %s of turn %s: %s", order["name"], order["turn"], reason)
            return None

    def _refusal(self, leg: Leg, order: Order) -> dict[str, Any] | None:
        """None to go on; {} to drop in silence; a result to report."""
        if leg.get("protocol") not in reports.READABLE:
            log.error("dropped an order in protocol %r; this host reads %s", leg.get("protocol"), reports.READABLE)
            return {}
        given = digest([leg["inputs"], leg["outputs"]])
        parts = reports.token_parts(leg["action"], order)
        is_ours = order.get("host") == self.name and order.get("digest") == given
        if not is_ours or not reports.is_signed(order.get("token"), self.key, *parts):
            log.error("dropped an order with a wrong token: %s for host %s", order.get("name"), order.get("host"))
            return {}
        if order["name"] not in self.steps:
            unknown = StepUnknown(f"This host knows no step {order['name']!r}; upgrade it.", step=order["name"])
            return self._result(leg, order, "failed", time.time(), error=describe(unknown))
        return None

    def _refusal_of_generation(self, leg: Leg, order: Order) -> dict[str, Any] | None:
        """The same for the generation (rule R6). An order of one that the host does not know yet overtook the answer to
        its hello, and waits for that; one that nobody answers in time is dropped, and its leg is sent again."""
        standing = self.journal.standing
        until, pause = time.monotonic() + self.patience, threading.Event()
        while not (current := standing.current()):
            if 0 < order["generation"] <= standing.known():
                break
            if time.monotonic() >= until:
                log.warning("dropped %s of generation %s: not welcomed", order["name"], order["generation"])
                return {}
            pause.wait(_POLL)
        return None if current == order["generation"] else self._refused(leg, order)

    def _refused(self, leg: Leg, order: Order) -> dict[str, Any]:
        known = self.journal.standing.known()
        log.warning("refused %s of generation %s: this is %s", order["name"], order["generation"], known)
        return self._result(leg, order, "refused", time.time(), output={"generation": known})

    def _under_lock(
        self, journal: TargetJournal, leg: Leg, order: Order, lock_fd: int, entering: int
    ) -> dict[str, Any]:
        entry = journal.find(order["token"])
        is_unpaid = bool(entering) and entry is not None and (entry.result or {}).get("status") == "failed"
        if entry is not None and entry.result is not None and not is_unpaid:
            log.info("%s of turn %s was done already", order["name"], order["turn"])
            return entry.result
        step = self.steps[order["name"]]
        # Begun in another turn counts too: a worker that began anew is given what it lost under a new token (R6, R10).
        is_once = step.once and order["verb"] == "do"
        is_in_doubt = is_once and journal.was_interrupted(leg["action"], order["seq"])
        done_before = journal.done_before(leg["action"], order["seq"]) if is_once else None
        if journal.has_open_entry():
            try:
                self.driver.lifecycle.settle(leg["target"])
            except CloudError as trouble:
                log.warning("what an interrupted order left running is not settled: %s", trouble.message)
                return self._result(leg, order, "failed", time.time(), error=describe(trouble))
            journal.settled()
        journal.compact()
        started = time.time()
        if is_in_doubt:
            error = StepUnknown(f"{step.name} was interrupted on {self.name}; whether it took effect is not known.")
            result = self._result(leg, order, "failed", started, error=describe(error))
        elif done_before is not None:
            log.info("%s was done in turn %s, which nobody heard of", order["name"], done_before["turn"])
            result = self._result(leg, order, "done", started, output=done_before["output"])
        else:
            self.fault_points("before_begin", order)
            with self.journal.standing.held(order["generation"]) as is_current:
                if not is_current and entering != order["generation"]:
                    return self._refused(leg, order)
                what = {name: order[name] for name in ("name", "verb", "seq", "turn")}
                journal.begin(order["token"], {"action": leg["action"], **what})
            with self._at_work(leg, order) as running:
                result = self._act(step, StepProgress(journal, running, lock_fd), leg, order, started)
            self.fault_points("before_record", order)
        journal.finish(order["token"], result)
        self.fault_points("after_record", order)
        return result

    def _act(self, step: HostStep, progress: StepProgress, leg: Leg, order: Order, started: float) -> dict[str, Any]:
        self.fault_points("before_effect", order)
        try:
            output = self._work(step, order)(self._step_host(progress, leg))
        except StepError as error:
            log.warning("%s failed: %s", order["name"], error.message)
            return self._result(leg, order, "failed", started, error=describe(error))
        except (Superseded, SystemExit):
            raise
        except CloudError as error:
            return self._result(leg, order, "failed", started, error={**describe(error), "next": "abort"})
        except Exception as error:
            log.exception("%s failed in a way that it does not know", order["name"])
            broken = HostBroken(f"{order['name']} on {self.name}: {type(error).__name__}: {error}"[:500])
            return self._result(leg, order, "failed", started, error=describe(broken))
        log.info("%s %s in %.0f ms", order["verb"], order["name"], (time.time() - started) * 1000)
        return self._result(leg, order, "done", started, output=output)

    @staticmethod
    def _work(step: HostStep, order: Order) -> Callable[[StepHost], dict[str, Any] | None]:
        """What the verb means. A fence does nothing: the turn that came with it is all."""
        if order["verb"] == "fence":
            return lambda _: None
        work = {"do": step.do, "undo": step.undo, "ask": step.ask}[order["verb"]]
        if work is None:
            raise StepUnknown(f"Step {step.name} has no {order['verb']}; this host and its conductors differ.")
        return work

    def _step_host(self, progress: StepProgress, leg: Leg) -> StepHost:
        inputs = leg["inputs"]
        outputs = dict(leg["outputs"])
        for result in leg["results"]:
            if reports.is_signed(result["signature"], self.key, *reports.result_parts(leg["action"], result)):
                outputs[result["name"]] = result["output"]
        return StepHost(
            target_id=leg["target"],
            inputs=inputs,
            outputs=outputs,
            driver=self.driver,
            maker=Maker(action_id=leg["action"], digest=digest(inputs)),
            progress=progress,
            guest=decode(GuestSpec, inputs["guest"]) if "guest" in inputs else None,
            unseal=partial(unseal, self.key),
        )

    @contextmanager
    def _only_one(self, token: str) -> Iterator[None]:
        """Raises Running for a duplicate of an order that is in hand here, be it at work or waiting for the target's
        lock: duplicates that wait would eat the pool."""
        with self._guard:
            if token in self._in_hand:
                raise Running(token)
            self._in_hand.add(token)
        try:
            yield
        finally:
            with self._guard:
                self._in_hand.discard(token)

    @contextmanager
    def _at_work(self, leg: Leg, order: Order) -> Iterator[RunningStep]:
        running = RunningStep(leg, order)
        with self._guard:
            self._running[order["token"]] = running
        try:
            yield running
        finally:
            with self._guard:
                del self._running[order["token"]]
                if running.was_renewed and not order["is_last"]:
                    running.is_past = True
                    self._past.append(running)

    def _result(
        self, leg: Leg, order: Order, status: str, started: float, *, output: Any = None, error: Any = None
    ) -> dict[str, Any]:
        result = {
            "seq": order["seq"],
            "name": order["name"],
            "verb": order["verb"],
            "host": self.name,
            "generation": order["generation"],
            "turn": order["turn"],
            "status": status,
            "output": output,
            "error": error,
            "started": started,
            "finished": time.time(),
        }
        return {**result, "signature": reports.sign(self.key, *reports.result_parts(leg["action"], result))}
