"""Live migrations that are on their way, and how far they are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from cloud.errors import NotFound
from cloud.workflow.models import ActionEvent
from cloud.workflow.states import Verb
from instances.models import Instance, Migration, MigrationType
from instances.steps.migration_rows import OVER

_STEP = "migrate_guest"


def in_progress(instance: Instance) -> QuerySet[Migration]:
    """The instance's live migrations that are not over."""
    return Migration.objects.filter(instance=instance, type=MigrationType.LIVE).exclude(status__in=OVER)


def migration_in_progress(instance: Instance, number: str) -> Migration:
    """One of them, by its number. NotFound when it is over, another instance's, or there is none of that number."""
    row = in_progress(instance).filter(pk=int(number)).first() if _is_number(number) else None
    if row is None:
        raise NotFound(f"In-progress live migration {number[:40]} is not found for server {instance.pk}.")
    return row


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18


def progress_of(action_ids: Collection[UUID]) -> dict[UUID, dict[str, Any]]:
    """What the hosts said last of the guests on their way, by the migration's action: `percent`, `message`, `details`.
    Those that are not on their way, or of which nothing was heard yet, are missing."""
    rows = ActionEvent.objects.filter(action__in=action_ids, name=_STEP, verb=Verb.DO, progress__isnull=False)
    return {row.action_id: row.progress or {} for row in rows.order_by("turn", "pk")}
