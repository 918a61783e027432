"""The way back: why an action turns round, fencing, undoing in reverse (rules R4, R8)."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from cloud.workflow.giving import Giving, Item
from cloud.workflow.models import ActionEvent
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
            if items and name != leg_host:
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
