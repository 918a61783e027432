"""One turn of one action, inside its transaction: reads the log, runs the conductor's steps, gives the next leg.

The order of the methods is the order in which an action lives: begin, go on or resume, forward, unwind, end.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from cloud.errors import Abort, CloudError, describe
from cloud.workflow import legs
from cloud.workflow.log import Log
from cloud.workflow.models import Action, ActionEvent, Host
from cloud.workflow.operation import ConductorStep, StepContext, operation
from cloud.workflow.reading import Outcome
from cloud.workflow.states import OPEN, ActionState, EventState, Verb
from hypervisor.steps import HostStep

log = logging.getLogger(__name__)

FAILED, RESCHEDULE, CANCELLED = "failed", "reschedule", "cancelled"
Item = tuple[int, HostStep, Verb]
# The columns that a turn decides; `cancel_requested` and `superseded_by` are others' to write.
_DECIDED = ["state", "turn", "cursor", "attempts", "placements", "unwind_reason", "asking", "fault", "leg"]
_DECIDED += ["deadline", "not_before", "published_at", "updated_at", "finished_at"]


class HostSilent(Abort):
    """A host took a step and fell silent, more often than attempts allow."""

    code = "step.host_silent"


class HostMisdirected(Abort):
    """A host has another generation than the database gives it, and keeps it."""

    code = "host.generation"


class Turn:
    """The turn that `action` was just moved to. Every public method decides what happens; `save` writes it."""

    def __init__(self, action: Action) -> None:
        self.action = action
        self.operation = operation(action.operation)
        events = () if action.state == ActionState.PENDING else action.events.all()
        self.log = Log(action, events, self.operation.sequence)
        self._memory: dict[str, Any] = {}  # rows that conductor steps read once in a turn
        action.leg = None
        action.not_before = None

    # --- entries ------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The first turn."""
        self.action.state = ActionState.RUNNING
        self.operation.began(self.context())
        self.forward()

    def go_on(self, outcome: Outcome) -> None:
        """After a host's report."""
        if outcome.behind is not None:
            self._close_open({"code": "host.behind", "message": f"the host has seen turn {outcome.behind}"})
            self.action.turn = max(self.action.turn, outcome.behind + 1)
            self.decide()
        elif outcome.misdirected:
            self._after_refusal()
        elif outcome.asked is not None:
            self.action.asking = False
            self.decide()
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
                self._fence(unfenced[0])
                return
        name = left[0]
        effects = self.log.in_effect()
        items: list[Item] = []
        for q, step in list(enumerate(self.operation.sequence))[seq:]:
            if isinstance(step, ConductorStep) or effects.get((q, name)):
                break
            hosts = self.operation.hosts(step.role, self.context())
            if name not in hosts or (q > seq and hosts != (name,)):
                break
            items.append((q, step, Verb.DO))
            if len(hosts) > 1:
                break
        host = self._host(name)
        if not host.is_up and not self._is_past_pivot():
            error = {"code": "host.down", "message": f"Host {name} is down.", "next": "reschedule"}
            failed = self.log.add(items[0][1], items[0][0], Verb.DO, EventState.FAILED, host=name, error=error)
            self._after_failure(failed)
            return
        self._give(host, items)

    # --- failure and the way back -------------------------------------------------------------------------------------

    def _after_failure(self, event: ActionEvent) -> None:
        """What the error's type says comes next (`next`: retry, reschedule, abort)."""
        fault = event.error or {}
        way = fault.get("next", "abort")
        failures = self.log.failures(event.seq, event.verb, event.host)
        if event.verb in (Verb.UNDO, Verb.FENCE):
            if failures >= settings.STEP_ATTEMPTS:
                self._stuck(fault, event)
            else:
                self._wait(failures)
        elif self._is_past_pivot():
            if self._is_late():
                self._stuck(fault, event)
            else:
                self._wait(failures)
        elif way == "retry" and self.action.attempts + 1 < settings.STEP_ATTEMPTS:
            self.action.attempts += 1
            self._wait(failures)
        elif way in ("retry", "reschedule") and self.action.placements < self.operation.max_attempts:
            self._unwind_because(RESCHEDULE, fault, event)
        else:
            self._unwind_because(FAILED, fault, event)

    def _unwind_because(self, reason: str, fault: dict[str, Any], event: ActionEvent | None = None) -> None:
        """Turns round, unless the pivot is passed; a pivot that was given and not answered is asked about first."""
        if self._is_past_pivot():
            self.forward()
            return
        where = {"step": event.name, "host": event.host} if event else {}
        self.action.unwind_reason = reason
        self.action.fault = {"step": "", "host": "", **fault, **where}
        pivot = self.operation.pivot
        if pivot is not None:
            for (seq, name), is_done in self.log.in_effect().items():
                if seq == pivot and not is_done:
                    self.action.asking = True
                    self._give(self._host(name), [(seq, self._host_step(seq), Verb.ASK)])
                    return
        self.action.state = ActionState.UNWINDING
        self.action.attempts = 0
        # The way back has as much time as the way there: what was too slow forward must not end STUCK for that.
        self.action.deadline = max(self.action.deadline, timezone.now() + timedelta(seconds=settings.ACTION_DEADLINE))
        self.unwind()

    def _after_refusal(self) -> None:
        """After a host refused an order of another generation than its own: waits until it has said hello, which it is
        told to at its next heartbeat (rule R6)."""
        refused = self._close_open({"code": HostMisdirected.code, "message": "the host has another generation"})
        self.action.attempts += 1
        if self.action.attempts < 2 * settings.STEP_ATTEMPTS or (self._is_past_pivot() and not self._is_late()):
            self._wait(self.action.attempts)
        else:
            host = refused[0].host
            self._give_up(describe(HostMisdirected(f"Host {host} has another generation than is known.")), refused[0])

    def _give_up(self, fault: dict[str, Any], event: ActionEvent) -> None:
        """Attempts or time are spent: back; STUCK where there is no way back and no time to go on."""
        if self.action.state == ActionState.UNWINDING or (self._is_past_pivot() and self._is_late()):
            self._stuck(fault, event)
        else:
            self._unwind_because(FAILED, fault, event)

    def unwind(self) -> None:
        """Fences every host that was given a step, then undoes in reverse from the last step given (rule R4)."""
        effects = self.log.in_effect()
        involved = list(dict.fromkeys(name for _, name in effects if name))
        unfenced = self.log.unfenced(involved)
        if len(involved) > 1 and unfenced:
            self._fence(unfenced[0])
            return
        items: list[Item] = []
        leg_host = ""
        for seq, name in sorted(effects, reverse=True):
            step = self.operation.sequence[seq]
            if isinstance(step, ConductorStep):
                if items:
                    break
                if not self._undo(seq, step):
                    return
            elif not items or name == leg_host:
                leg_host = name
                items.append((seq, step, Verb.UNDO if step.undo is not None else Verb.FENCE))
            else:
                break
        if items:
            self._give(self._host(leg_host), items)
        elif self.action.unwind_reason == RESCHEDULE:
            self.action.turn += 1  # in this one its steps were undone: done again they need one of their own (rule R1)
            self.action.placements += 1
            self.action.attempts = 0
            self.action.unwind_reason = ""
            self.action.state = ActionState.RUNNING
            self.decide()
        else:
            is_cancelled = self.action.unwind_reason == CANCELLED
            self._end(ActionState.CANCELLED if is_cancelled else ActionState.FAILED)

    def _undo(self, seq: int, step: ConductorStep) -> bool:
        """Undoes one conductor step. False when that failed: the action is STUCK."""
        started = timezone.now()
        try:
            with transaction.atomic():
                if step.undo is not None:
                    step.undo(self.context())
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:  # the undo runner: nothing below may be undone before this is
            log.exception("the undo of %s failed", step.name)
            fault = {"code": "step.broken", "message": f"undo of {step.name}: {type(error).__name__}: {error}"[:500]}
            self._stuck(fault, self.log.add(step, seq, Verb.UNDO, EventState.FAILED, error=fault, started_at=started))
            return False
        self.log.add(step, seq, Verb.UNDO, EventState.DONE, started_at=started)
        return True

    def _fence(self, name: str) -> None:
        """Gives `name` nothing but the new turn."""
        seq = max((e.seq for e in self.log.events if e.host == name and e.verb == Verb.DO), default=self.action.cursor)
        self._give(self._host(name), [(seq, self._host_step(seq), Verb.FENCE)])

    # --- what every way uses ------------------------------------------------------------------------------------------

    def context(self) -> StepContext:
        """What a conductor step sees now."""
        return StepContext(self.action, self.log.outputs(), self.log.excluded(), self._memory)

    def _host_step(self, seq: int) -> HostStep:
        step = self.operation.sequence[seq]
        assert isinstance(step, HostStep)
        return step

    def _is_past_pivot(self) -> bool:
        pivot = self.operation.pivot
        if pivot is None:
            return False
        if self.operation.goes_forward_only:
            return True
        return any(seq == pivot and is_done for (seq, _), is_done in self.log.in_effect().items())

    def _is_late(self) -> bool:
        return timezone.now() > self.action.deadline

    def _host(self, name: str) -> Host:
        return Host.objects.get(name=name)

    def _give(self, host: Host, items: Sequence[Item]) -> None:
        """Records the steps as given and keeps the leg with the action; it is published after the commit."""
        lease = lease_end()
        for seq, step, verb in items:
            self.log.add(
                step, seq, verb, EventState.GIVEN, host=host.name, generation=host.generation, lease_until=lease
            )
        context = self.context()
        self.action.leg = legs.build(self.action, host, items, self.operation.inputs(context), context.outputs)

    def _close_open(self, error: dict[str, Any]) -> list[ActionEvent]:
        """Ends the steps that nobody will answer any more in this turn; those that were open."""
        open_events = [event for event in self.log.events if event.state in OPEN]
        for event in open_events:
            event.state, event.finished_at, event.error = EventState.FAILED, timezone.now(), error
            self.log.record(event)
        return open_events

    def _wait(self, failures: int) -> None:
        """Gives nothing now: the sweep takes the action up again after 1, 2, 4 … seconds, at most a minute."""
        self.action.not_before = timezone.now() + timedelta(seconds=min(2 ** max(failures - 1, 0), 60))

    def _stuck(self, fault: dict[str, Any], event: ActionEvent) -> None:
        self.action.fault = {**fault, "step": event.name, "host": event.host}
        log.error("STUCK: %s on %s: %s", event.name, event.host or "the conductor", fault.get("message"))
        self._end(ActionState.STUCK)

    def _end(self, state: ActionState) -> None:
        self.action.state = state
        self.action.finished_at = timezone.now()
        if state == ActionState.SUCCEEDED:
            self.action.fault = None
            self.operation.succeeded(self.context())
        else:
            self.operation.failed(self.context(), self.action.fault or {})
        log.info("%s %s", self.action.operation, state)

    def _end_broken(self) -> None:
        """STUCK, even if the operation cannot take note of it."""
        self.action.state = ActionState.STUCK
        self.action.finished_at = timezone.now()
        log.error("STUCK: %s", (self.action.fault or {}).get("message"))
        try:
            with transaction.atomic():
                self.operation.failed(self.context(), self.action.fault or {})
        except Exception:  # what it cannot note it may be what broke the action
            log.exception("the operation could not take note of the end")

    def save(self) -> None:
        """Writes the log and the action, and publishes the leg after the commit."""
        self.log.save()
        self.action.published_at = None
        self.action.updated_at = timezone.now()
        self.action.save(update_fields=_DECIDED)
        if self.action.leg is not None:
            legs.publish_on_commit([self.action])


def lease_end() -> datetime:
    """When the lease of a step that is given or renewed now runs out."""
    return timezone.now() + timedelta(seconds=settings.LEASE)
