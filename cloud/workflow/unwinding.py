"""The way back: why an action turns round, fencing, undoing in reverse (rules R4, R8)."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from cloud.workflow.giving import Giving, Item
from cloud.workflow.models import ActionEvent, Host
from cloud.workflow.operation import ConductorStep
from cloud.workflow.states import ActionState, EventState, Verb

log = logging.getLogger(__name__)

FAILED, RESCHEDULE, CANCELLED = "failed", "reschedule", "cancelled"


class Unwinding(Giving):
    """A turn that may go back."""

    def decide(self) -> None:
        """Goes on in the direction that the action has."""
        raise NotImplementedError

    def forward(self) -> None:
        """Goes on with what comes next."""
        raise NotImplementedError

    def _unwind_because(self, reason: str, fault: dict[str, Any], event: ActionEvent | None = None) -> None:
        """Turns round, unless the pivot is passed; a pivot that was given and not answered is asked about first."""
        if self._is_past_pivot():
            self.forward()
            return
        where = {"step": event.name, "host": event.host} if event else {}
        self.action.unwind_reason = reason
        self.action.fault = {"step": "", "host": "", **fault, **where}
        if self._ask():
            return
        self.action.state = ActionState.UNWINDING
        self.action.attempts = 0
        self._give_time()
        self.unwind()

    # --- the pivot (rule R5) ------------------------------------------------------------------------------------------

    def _is_pivot_unanswered(self) -> bool:
        """Its host was told to and never said what came of it: it is neither done nor undone."""
        pivot = self.operation.pivot
        return pivot is not None and any(self.log.in_doubt(pivot).values())

    def _ask(self) -> bool:
        """Asks the pivot's host whether it has happened. False when there is nothing to ask.

        The question comes in a new turn and under the lock: whatever the host was told before cannot begin any more.
        """
        pivot = self.operation.pivot
        name = next(iter(self.log.in_doubt(pivot)), None) if pivot is not None else None
        if pivot is None or name is None:
            return False
        if not self.action.asking:
            self.action.asking, self.action.attempts = True, 0
            self._give_time()
        host, step = self._host(name), self._host_step(pivot)
        if host.is_up:
            self._give(host, [(pivot, step, Verb.ASK)])
            return True
        moved = self.operation.moved_when_fenced(self.context(), name) if host.is_fenced else None
        witness = self._witness(pivot)
        if moved is not None:
            self._after_answer(self._answer_for(host, pivot, {"moved": moved, "fenced": True}))
        elif witness is not None:
            self._give(witness, [(pivot, step, Verb.ASK)])
        else:
            self._wait_for(name, step)
        return True

    def _witness(self, pivot: int) -> Host | None:
        """A host that is up and may have seen the pivot, whose own host is down. One that said no is asked again: later
        it may say yes."""
        names = self.operation.pivot_witnesses(self.context())
        return Host.objects.filter(name__in=names, is_up=True).exclude(name__in=self.log.in_doubt(pivot)).first()

    def _answer_for(self, host: Host, pivot: int, output: dict[str, Any]) -> ActionEvent:
        """What is known of the pivot without its host's own word, as that host's answer."""
        step = self._host_step(pivot)
        state, generation = EventState.DONE, host.generation
        return self.log.add(step, pivot, Verb.ASK, state, host=host.name, generation=generation, output=output)

    def _after_answer(self, asked: ActionEvent) -> None:
        """Moved: forward. Not moved: back, but for a witness's no, after which the action waits. Neither said: asked
        again."""
        moved = (asked.output or {}).get("moved")
        if not isinstance(moved, bool):
            asked.state, asked.error = EventState.FAILED, {"code": "step.unknown", "message": "It did not say."}
            self.log.record(asked)
            self._wait(self.log.failures(asked.seq, asked.verb, asked.host))
            return
        log.info("%s on %s: %s", asked.name, asked.host, "it has moved" if moved else "it has not moved")
        doubted = next(iter(self.log.in_doubt(asked.seq)), None)
        if doubted is not None:  # a witness spoke for the pivot's own host
            if not moved:
                self._wait_for(doubted, self._host_step(asked.seq))
                return
            self._answer_for(self._host(doubted), asked.seq, {"moved": True, "witness": asked.host})
        self.action.asking, self.action.attempts = False, 0
        if moved:
            self.action.unwind_reason, self.action.fault = "", None
            self._give_time()
        self.decide()

    def _give_time(self) -> None:
        """A new direction has as much time as the first: what was too slow there must not end STUCK here for that."""
        self.action.deadline = max(self.action.deadline, timezone.now() + timedelta(seconds=settings.ACTION_DEADLINE))

    # --- undoing ------------------------------------------------------------------------------------------------------

    def unwind(self) -> None:
        """Fences every host that was given a step, then undoes in reverse from the last step given (rule R4). What a
        host that is down has to do becomes its debt (rule R8)."""
        involved = list(dict.fromkeys(name for _, name in self.log.in_effect() if name))
        for name in self.log.unfenced(involved) if len(involved) > 1 else ():
            if not self._owes(name, [self._fence_of(name)]):
                self._give(self._host(name), [self._fence_of(name)])
                return
        effects = self.log.in_effect()
        items: list[Item] = []
        leg_host = ""
        for seq, name in sorted(effects, reverse=True):
            step = self.operation.sequence[seq]
            if isinstance(step, ConductorStep):
                if items:
                    break
                if not self._undo(seq, step):
                    return
                continue
            item = (seq, step, Verb.UNDO if step.undo is not None else Verb.FENCE)
            if items and (name != leg_host or step.on_control != items[0][1].on_control):
                break
            if items or not self._owes(name, [item]):
                leg_host = name
                items.append(item)
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
            self.log.add(step, seq, Verb.UNDO, EventState.FAILED, error=fault, started_at=started)
            self._stuck(fault, step.name)
            return False
        self.log.add(step, seq, Verb.UNDO, EventState.DONE, started_at=started)
        return True
