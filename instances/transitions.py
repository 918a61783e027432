"""Changing the states of an instance: one conditional UPDATE, that says whether it changed the row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from django.db import models
from django.utils import timezone

from instances.models import Instance

_ANY: Final = object()


def compare_and_set(
    instance_id: UUID,
    *,
    expected_vm_state: str | Iterable[str] | None = None,
    expected_task_state: str | Iterable[str | None] | object | None = _ANY,
    **changes: Any,
) -> bool:
    """Changes the instance in one UPDATE, if it is alive and still in the expected states; says whether it was.

    `expected_vm_state`: one or several, None for any. `expected_task_state`: one or several, where None is idle.
    """
    rows = Instance.objects.filter(pk=instance_id, deleted_at=None)
    if expected_vm_state is not None:
        states = [expected_vm_state] if isinstance(expected_vm_state, str) else list(expected_vm_state)
        rows = rows.filter(vm_state__in=states)
    if expected_task_state is None or isinstance(expected_task_state, str):
        rows = rows.filter(task_state=expected_task_state)
    elif expected_task_state is not _ANY:
        tasks = list(expected_task_state)  # type: ignore[call-overload]
        condition = models.Q(task_state__in=[task for task in tasks if task is not None])
        rows = rows.filter(condition | models.Q(task_state=None) if None in tasks else condition)
    changes.setdefault("updated_at", timezone.now())
    return rows.update(**changes) == 1
