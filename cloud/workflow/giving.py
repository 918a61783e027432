"""What every direction of an action shares: reading its log, giving a host its leg, waiting, ending.

Read `turn.py` first: this is what it stands on.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from cloud.workflow import legs
from cloud.workflow.log import Log
from cloud.workflow.models import Action, ActionEvent, Host
from cloud.workflow.operation import StepContext, operation
from cloud.workflow.states import OPEN, ActionState, EventState, Verb
from hypervisor.steps import HostStep

log = logging.getLogger(__name__)

Item = tuple[int, HostStep, Verb]
# The columns that a turn decides; `cancel_requested` and `superseded_by` are others' to write.
_DECIDED = ["state", "turn", "cursor", "attempts", "placements", "unwind_reason", "asking", "fault", "leg"]
_DECIDED += ["deadline", "not_before", "published_at", "updated_at", "finished_at"]


class Giving:
    """The turn that `action` was just moved to, without a direction yet."""

    def __init__(self, action: Action) -> None:
        self.action = action
        self.operation = operation(action.operation)
        events = () if action.state == ActionState.PENDING else action.events.all()
        self.log = Log(action, events, self.operation.sequence)
        self._memory: dict[str, Any] = {}  # rows that conductor steps read once in a turn
        action.leg = None
        action.not_before = None

    def context(self, host: str = "") -> StepContext:
        """What a conductor step sees now; `host`: the one that a leg is being made for."""
        return context_of(self.action, self.log, self._memory, host)

    def _host_step(self, seq: int) -> HostStep:
        step = self.operation.sequence[seq]
        assert isinstance(step, HostStep)
        return step

    def _is_past_pivot(self) -> bool:
        return self.operation.goes_forward_only or self.log.is_done(self.operation.pivot)

    def _must_go_on(self) -> bool:
        """There is no turning round, now or before the pivot's host has answered: it is tried until the deadline."""
        return self.action.asking or self._is_past_pivot()

    def _is_late(self) -> bool:
        return timezone.now() > self.action.deadline

    def _host(self, name: str) -> Host:
        return Host.objects.get(name=name)

    def _fence_of(self, name: str) -> Item:
        """Nothing but the new turn, for a host that was given steps."""
        given = (e.seq for e in self.log.events if e.host == name and e.verb == Verb.DO)
        seq = max(given, default=self.action.cursor)
        return seq, self._host_step(seq), Verb.FENCE

    def _give(self, host: Host, items: Sequence[Item]) -> None:
        """Records the steps as given and keeps the leg with the action; it is published after the commit."""
        lease = lease_end()
        for seq, step, verb in items:
            self.log.add(
                step, seq, verb, EventState.GIVEN, host=host.name, generation=host.generation, lease_until=lease
            )
        context = self.context(host.name)
        self.action.leg = legs.build(self.action, host, items, self.operation.inputs(context), context.outputs)

    def _owes(self, name: str, items: Sequence[Item]) -> bool:
        """Makes `items` debts of the host if it is down, to be paid when it says hello (rule R8). False when it is up.

        Its row is locked until the transaction ends: a host that comes up meanwhile sees what it owes.
        """
        if self._host(name).is_up:
            return False
        host = Host.objects.select_for_update().get(name=name)
        if host.is_up:
            return False
        owed = None
        if not any(e.host == name and e.turn == self.action.turn and e.owed for e in self.log.events):
            context = self.context(name)
            owed = {"inputs": self.operation.inputs(context), "outputs": context.outputs}
        for seq, step, verb in items:
            log.warning("host %s is down and owes %s %s", name, verb, step.name)
            self.log.add(step, seq, verb, EventState.OWED, host=name, generation=host.generation, owed=owed)
            owed = None
        return True

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

    def _wait_for(self, name: str, step: HostStep) -> None:
        """Waits for a host that is down, and that nobody can stand in for; past the deadline it is STUCK."""
        if self._is_late():
            down = {"code": "host.down", "message": f"Host {name} is down, and {step.name} is its to do."}
            self._stuck(down, step.name, name)
        else:
            self.action.attempts += 1
            self._wait(self.action.attempts)

    def _stuck(self, fault: dict[str, Any], step: str, host: str = "") -> None:
        cause = self.action.fault if self.action.unwind_reason else None  # why it had turned round before
        self.action.fault = {**fault, "step": step, "host": host, **({"cause": cause} if cause else {})}
        log.error("STUCK: %s on %s: %s", step, host or "the conductor", fault.get("message"))
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


def context_of(action: Action, log: Log, memory: dict[str, Any], host: str = "") -> StepContext:
    """What the log of an action comes to, as its operation and its conductor steps get it."""
    return StepContext(
        action, log.outputs(), log.excluded(), memory, undone=log.undone(), owing_here=log.owing(), host=host
    )


def lease_end() -> datetime:
    """When the lease of a step that is given or renewed now runs out."""
    return timezone.now() + timedelta(seconds=settings.LEASE)
