"""One turn of one action, inside its transaction: reads the log, runs the conductor's steps, gives the next leg.

The order of the methods is the order in which an action lives: begin, go on or resume, forward, failure. The way back
is in `unwinding.py`; what both stand on in `giving.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from cloud.errors import Abort, CloudError, describe
from cloud.workflow.giving import Item
from cloud.workflow.models import ActionEvent
from cloud.workflow.operation import ConductorStep
from cloud.workflow.reading import Outcome
from cloud.workflow.states import ActionState, EventState, Verb
from cloud.workflow.unwinding import CANCELLED, FAILED, RESCHEDULE, Unwinding

log = logging.getLogger(__name__)


class HostSilent(Abort):
    """A host took a step and fell silent, more often than attempts allow."""

    code = "step.host_silent"


class HostMisdirected(Abort):
    """A host has another generation than the database gives it, and keeps it."""

    code = "host.generation"


class Turn(Unwinding):
    """The turn that `action` was just moved to. Every public method decides what happens; `save` writes it."""

    # --- entries ------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The first turn."""
        self.action.state = ActionState.RUNNING
        self.operation.began(self.context())
        self.decide()  # it may have been cancelled before it began

    def go_on(self, outcome: Outcome) -> None:
        """After a host's report."""
        if outcome.behind is not None:
            self._close_open({"code": "host.behind", "message": f"the host has seen turn {outcome.behind}"})
            self.action.turn = max(self.action.turn, outcome.behind + 1)
            self.decide()
        elif outcome.misdirected:
            self._after_refusal()
        elif outcome.asked is not None:
            self._after_answer(outcome.asked)
        elif outcome.failed is not None:
            self._close_open({"code": "leg.ended", "message": f"not begun, for {outcome.failed.name} failed"})
            self._after_failure(outcome.failed)
        else:
            self.action.attempts = 0
            self.decide()

    def resume(self, why: str, *, spends_attempt: bool) -> None:
        """After silence, or a wait: what the old turn left open counts as failed."""
        silent = self._close_open({"code": "lease.expired", "message": why})
        if spends_attempt:
            self.action.attempts += 1
        if silent and (self.action.attempts >= settings.STEP_ATTEMPTS or self._is_late()):
            self._give_up(describe(HostSilent(why)), silent[0])
        else:
            self.decide()

    def break_off(self, error: Exception) -> None:
        """After an error that no step foresaw, which rolled back all that the turn had decided: the action waits and is
        tried again; with its attempts spent it turns round, or is STUCK where it cannot."""
        fault = {"code": "action.broken", "message": f"{type(error).__name__}: {error}"[:500], "step": "", "host": ""}
        self._close_open(fault)
        self.action.attempts += 1
        if self.action.attempts >= settings.STEP_ATTEMPTS:
            if self._must_go_on() and not self._is_late():
                self._wait(self.action.attempts)
                return
            self.action.attempts = 0
            self.action.fault = fault
            if self.action.state == ActionState.UNWINDING or self.action.unwind_reason or self._is_past_pivot():
                self._end_broken()
                return
            self.action.state = ActionState.RUNNING
            self.action.unwind_reason = FAILED
        self._wait(self.action.attempts)

    def decide(self) -> None:
        """Goes on in the direction that the action has."""
        if self.action.state == ActionState.UNWINDING:
            self.unwind()
        elif self._is_past_pivot():
            self.forward()
        elif self.action.unwind_reason:
            self._unwind_because(self.action.unwind_reason, self.action.fault or {})
        elif self.action.cancel_requested:
            self._unwind_because(CANCELLED, {"code": "action.cancelled", "message": "Cancelled by the user."})
        elif self._is_pivot_unanswered():
            self._unwind_because(FAILED, describe(HostSilent("Its host did not answer at the point of no return.")))
        else:
            self.forward()

    # --- forward ------------------------------------------------------------------------------------------------------

    def forward(self) -> None:
        """Runs the conductor's steps that come next, then gives the next host its leg; with none left, it succeeds."""
        effects = self.log.in_effect()
        for seq, step in enumerate(self.operation.sequence):
            self.action.cursor = seq
            if isinstance(step, ConductorStep):
                if not effects.get((seq, "")) and not self._run(seq, step):
                    return
                continue
            hosts = self.operation.hosts(step.role, self.context())
            left = [host for host in hosts if not effects.get((seq, host))]
            if step.owed and self._is_past_pivot():
                left = [host for host in left if not self._owes(host, [(seq, step, Verb.DO)])]
            if left:
                self._give_forward(seq, left)
                return
        self._end(ActionState.SUCCEEDED)

    def _run(self, seq: int, step: ConductorStep) -> bool:
        """Runs one conductor step in a savepoint. False when it failed and the turn has gone another way."""
        started = timezone.now()
        try:
            with transaction.atomic():
                output = step.do(self.context())
        except (OperationalError, InterfaceError):
            raise  # a deadlock, or the database is away: not the step's fault, the whole turn is tried again
        except CloudError as error:
            fault = describe(error)
        except Exception as error:  # the step runner: whatever it is, it becomes a fault and not a lost message
            log.exception("step %s failed in a way that it does not know", step.name)
            fault = {"code": "step.broken", "message": f"{step.name}: {type(error).__name__}: {error}"[:500]}
        else:
            self.log.add(step, seq, Verb.DO, EventState.DONE, output=output, started_at=started)
            return True
        self._memory.clear()  # it may hold what was rolled back
        event = self.log.add(step, seq, Verb.DO, EventState.FAILED, error=fault, started_at=started)
        self._after_failure(event)
        return False

    def _give_forward(self, seq: int, left: Sequence[str]) -> None:
        """Gives the first of the hosts that are left its leg: the run of steps that are its alone (rule R4)."""
        if self.operation.goes_forward_only and len(left) > 1:
            unfenced = self.log.unfenced(left)
            if unfenced:
                self._give(self._host(unfenced[0]), [self._fence_of(unfenced[0])])
                return
        name = left[0]
        effects = self.log.in_effect()
        items: list[Item] = []
        for q, step in list(enumerate(self.operation.sequence))[seq:]:
            if isinstance(step, ConductorStep) or effects.get((q, name)):
                break
            hosts = self.operation.hosts(step.role, self.context())
            if name not in hosts or (q > seq and (hosts != (name,) or q == self.operation.pivot)):
                break  # the pivot begins a leg of its own: it is not given while the step before it may fail
            if items and step.on_control != items[0][1].on_control:
                break
            items.append((q, step, Verb.DO))
            if len(hosts) > 1:
                break
        host = self._host(name)
        if not host.is_up and self._is_past_pivot():
            self._wait_for(name, items[0][1])
            return
        if not host.is_up:
            error = {"code": "host.down", "message": f"Host {name} is down.", "next": "reschedule"}
            failed = self.log.add(items[0][1], items[0][0], Verb.DO, EventState.FAILED, host=name, error=error)
            self._after_failure(failed)
            return
        self._give(host, items)

    # --- failure ------------------------------------------------------------------------------------------------------

    def _after_failure(self, event: ActionEvent) -> None:
        """What the error's type says comes next (`next`: retry, reschedule, abort)."""
        fault = event.error or {}
        way = fault.get("next", "abort")
        failures = self.log.failures(event.seq, event.verb, event.host)
        if event.verb == Verb.ASK:
            if self._is_late():
                self._stuck(fault, event.name, event.host)
            else:
                self._wait(failures)
        elif event.verb in (Verb.UNDO, Verb.FENCE):
            if failures >= settings.STEP_ATTEMPTS:
                self._stuck(fault, event.name, event.host)
            else:
                self._wait(failures)
        elif self._is_past_pivot():
            if self._is_late():
                self._stuck(fault, event.name, event.host)
            else:
                self._wait(failures)
        elif way == "retry" and self.action.attempts + 1 < settings.STEP_ATTEMPTS:
            self.action.attempts += 1
            self._wait(failures)
        elif way in ("retry", "reschedule") and self.action.placements < self.operation.max_attempts:
            self._unwind_because(RESCHEDULE, fault, event)
        else:
            self._unwind_because(FAILED, fault, event)

    def _after_refusal(self) -> None:
        """After a host refused an order of another generation than its own: waits until it has said hello, which it is
        told to at its next heartbeat (rule R6)."""
        refused = self._close_open({"code": HostMisdirected.code, "message": "the host has another generation"})
        self.action.attempts += 1
        if self.action.attempts < 2 * settings.STEP_ATTEMPTS or (self._must_go_on() and not self._is_late()):
            self._wait(self.action.attempts)
        else:
            host = refused[0].host
            self._give_up(describe(HostMisdirected(f"Host {host} has another generation than is known.")), refused[0])

    def _give_up(self, fault: dict[str, Any], event: ActionEvent) -> None:
        """Attempts or time are spent: back; STUCK where there is no way back and no time to go on."""
        if self.action.state == ActionState.UNWINDING or (self._must_go_on() and self._is_late()):
            self._stuck(fault, event.name, event.host)
        else:
            self._unwind_because(FAILED, fault, event)
