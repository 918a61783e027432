"""Whether anything happened to a target between two moments: what keeps the doctor from speaking of work in progress.

An action takes a turn when it begins and with each message, and what it does on hosts it does while it is alive, or
owes. So whoever is idle, owes nothing and is in the same turn at two moments was left alone in between.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Max, Q

from cloud.workflow.models import Action, ActionEvent
from cloud.workflow.states import LIVE, EventState
from instances.models import Instance


@dataclass(frozen=True)
class Stamps:
    """One moment. `turns`: the highest of each target; `busy`: those with a live action or a debt; `changed`: when each
    living instance's row did."""

    turns: Mapping[UUID, int]
    busy: frozenset[UUID]
    changed: Mapping[UUID, datetime]

    @classmethod
    def read(cls, targets: Collection[UUID] | None = None, *, besides: Iterable[UUID] = ()) -> Stamps:
        """Of `targets`, or of all there are; without the actions `besides`."""
        actions = Action.objects.exclude(pk__in=list(besides))
        rows = Instance.objects.filter(deleted_at=None)
        if targets is not None:
            actions, rows = actions.filter(target_id__in=targets), rows.filter(pk__in=targets)
        changed = dict(rows.values_list("pk", "updated_at"))
        seen = list(
            actions.order_by()
            .values("target_id")
            .annotate(turn=Max("turn"), live=Count("pk", filter=Q(state__in=LIVE)))
            .values_list("target_id", "turn", "live")
        )
        owed = ActionEvent.objects.filter(state=EventState.OWED, action__in=actions)
        owing = owed.values_list("action__target_id", flat=True)
        busy = {target for target, _, live in seen if live}
        return cls({target: turn for target, turn, _ in seen}, frozenset(busy.union(owing)), changed)

    def is_quiet_until(self, later: Stamps, targets: Iterable[UUID]) -> bool:
        """Nothing happened to any of them from here until `later`."""
        return all(
            target not in self.busy
            and target not in later.busy
            and self.turns.get(target) == later.turns.get(target)
            and self.changed.get(target) == later.changed.get(target)
            for target in targets
        )

    @property
    def is_idle(self) -> bool:
        """No action is alive, and nothing is owed."""
        return not self.busy
