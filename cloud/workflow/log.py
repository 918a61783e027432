"""The log of one action, folded: which steps are in effect, what they returned, where they failed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.utils import timezone

from cloud.workflow.models import Action, ActionEvent
from cloud.workflow.operation import Step
from cloud.workflow.states import OPEN, EventState, Verb
from hypervisor.steps import Role

_CONDUCTOR = ""
_REFUSED = ("host.behind", "host.generation")  # what a host answers that did not do what it was told


class Log:
    """Events of an action, with those that the turn in hand adds. `save` writes what changed in one statement."""

    def __init__(self, action: Action, events: Iterable[ActionEvent], sequence: Sequence[Step]) -> None:
        self.action = action
        self.sequence = sequence
        self.events = sorted(events, key=lambda event: (event.turn, event.pk or 0))
        self._changed: list[ActionEvent] = []
        self._folded: dict[tuple[int, str], bool] | None = None

    def in_effect(self) -> dict[tuple[int, str], bool]:
        """(seq, host) of every step given and not undone since → whether it is known to be done.

        A step that was given counts, recorded or not, failed or not (rule R4).
        """
        if self._folded is None:
            self._folded = self._fold()
        return dict(self._folded)

    def _fold(self) -> dict[tuple[int, str], bool]:
        effects: dict[tuple[int, str], bool] = {}
        for event in self.events:
            key = (event.seq, event.host)
            is_done = event.state in (EventState.DONE, EventState.OWED)  # as far as this action is concerned (rule R8)
            if event.host and event.generation == 0:
                continue  # its host was down: it was never given
            if event.verb == Verb.DO:
                if event.host or is_done:  # a conductor step that failed was rolled back
                    effects[key] = is_done or effects.get(key, False)
            elif event.verb == Verb.ASK:
                if is_done and (event.output or {}).get("moved"):
                    effects[key] = True
                elif is_done and self.sequence[event.seq].undo is None:  # nothing of it is left to undo
                    effects.pop(key, None)
            elif event.verb == Verb.FENCE and self.sequence[event.seq].undo is not None:
                continue  # only of a step without an undo is the fence all that there is to undo
            elif is_done:
                effects.pop(key, None)
        return effects

    def is_done(self, seq: int | None) -> bool:
        """Whether the step is known to be done, on any host, and not undone since."""
        return any(known == seq and is_done for (known, _), is_done in self.in_effect().items())

    def outputs(self) -> dict[str, Any]:
        """What the steps in effect returned, by step name."""
        in_effect = self.in_effect()
        return {
            event.name: event.output
            for event in self.events
            if event.verb == Verb.DO and event.state == EventState.DONE and (event.seq, event.host) in in_effect
        }

    def undone(self) -> dict[str, Any]:
        """What the last undo of each step returned, by step name."""
        return {e.name: e.output for e in self.events if e.verb == Verb.UNDO and e.state == EventState.DONE}

    def owing(self) -> frozenset[str]:
        """Hosts that owe this action something (rule R8)."""
        return frozenset(event.host for event in self.events if event.state == EventState.OWED)

    def in_doubt(self, pivot: int) -> dict[str, bool]:
        """Hosts of which nobody knows whether the pivot has happened there (rule R5) → whether they never answered the
        order, so that it may still be at work; False when they answered that it failed, or refused it: a worker may
        have begun it and died, and the next one refused the message that came back."""
        doubts: dict[str, bool] = {}
        for event in self.events:
            if event.seq != pivot or not event.host or event.generation == 0:
                continue
            if event.state in (EventState.DONE, EventState.OWED):
                doubts.pop(event.host, None)
            elif event.verb == Verb.DO:
                is_refused = (event.error or {}).get("code") in _REFUSED
                doubts[event.host] = event.started_at is None and not is_refused
        return doubts

    def hosts(self) -> list[str]:
        """Every host that the log ever gave a step to, first to last."""
        return list(dict.fromkeys(event.host for event in self.events if event.host))

    def unfenced(self, hosts: Iterable[str]) -> list[str]:
        """Those of `hosts` that nothing has reached since their last step was given forward."""
        left = []
        for host in hosts:
            mine = [event for event in self.events if event.host == host and event.generation]
            given = max((event.turn for event in mine if event.verb == Verb.DO), default=0)
            reached, settled = (Verb.UNDO, Verb.FENCE, Verb.ASK), (EventState.DONE, EventState.OWED)
            if not any(e.verb in reached and e.state in settled and e.turn > given for e in mine):
                left.append(host)
        return left

    def excluded(self) -> dict[str, str]:
        """Hosts on which a step failed in a way that another host may not, or fell silent → what was said."""
        failed = {}
        for event in self.events:
            error = event.error or {}
            is_failed = event.host and event.verb == Verb.DO and event.state == EventState.FAILED
            if is_failed and (error.get("next") in ("retry", "reschedule") or error.get("code") == "lease.expired"):
                failed[event.host] = str(error.get("message", ""))
        return failed

    def failures(self, seq: int, verb: str, host: str) -> int:
        """How often in a row `verb` of step `seq` failed on `host`, since a person had the action tried again. What its
        leg left open, and nobody began or answered, has no beginning and is not a failure of it."""
        count = 0
        for event in self.events:
            is_it = (event.seq, event.verb, event.host) == (seq, verb, host)
            if is_it and event.turn > self.action.retried_turn:
                if event.state == EventState.DONE:
                    count = 0
                elif event.state == EventState.FAILED and event.started_at is not None:
                    count += 1
        return count

    def find(self, seq: int, verb: str, host: str, turn: int) -> ActionEvent | None:
        """The event of that step, verb and host in that turn."""
        for event in self.events:
            if (event.seq, event.verb, event.host, event.turn) == (seq, verb, host, turn):
                return event
        return None

    def record(self, event: ActionEvent) -> None:
        """Notes that `event` changed, or is new."""
        self._folded = None
        if event not in self._changed:
            self._changed.append(event)

    def add(
        self, step: Step, seq: int, verb: Verb, state: EventState, *, host: str = _CONDUCTOR, **fields: Any
    ) -> ActionEvent:
        """A new event in the action's turn."""
        now = timezone.now()
        event = ActionEvent(
            action=self.action,
            seq=seq,
            name=step.name,
            verb=verb,
            role=step.role if isinstance(step.role, Role) else str(step.role),
            host=host,
            turn=self.action.turn,
            state=state,
            given_at=now,
            **fields,
        )
        if state not in OPEN:
            event.started_at = event.started_at or now
            event.finished_at = event.finished_at or now
        self.events.append(event)
        self.record(event)
        return event

    def save(self) -> None:
        """Writes every event that changed, in one statement, and every new one in another."""
        if not self._changed:
            return
        ActionEvent.objects.bulk_create(
            self._changed,
            update_conflicts=True,
            unique_fields=["action", "seq", "verb", "host", "turn"],
            update_fields=["state", "lease_until", "output", "error", "started_at", "finished_at"],
        )
        self._changed.clear()
