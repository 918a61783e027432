"""The instance's row, read once in a turn by whichever steps need it, and changed through here."""

from __future__ import annotations

from typing import Any

from cloud.workflow.operation import StepContext
from instances.models import Instance


def instance_of(step: StepContext) -> Instance:
    """The row as this turn's steps have it."""
    row: Instance = step.once("instance", lambda: Instance.objects.get(pk=step.target_id))
    return row


def change_instance(step: StepContext, **changes: Any) -> None:
    """One UPDATE of the columns named; the row that the turn remembers changes with it."""
    Instance.objects.filter(pk=step.target_id).update(**changes)
    row = step.memory.get("instance")
    if row is not None:
        for column, value in changes.items():
            setattr(row, column, value)
