"""The row of a migration, as the action that began it changes it."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from django.utils import timezone

from cloud.workflow.operation import StepContext
from instances.models import Migration, MigrationStatus
from scheduling import claims

OVER: Final = (
    MigrationStatus.CONFIRMED,
    MigrationStatus.REVERTED,
    MigrationStatus.COMPLETED,
    MigrationStatus.CANCELLED,
    MigrationStatus.FAILED,
    MigrationStatus.ERROR,
)


def migration_of(step: StepContext) -> Migration:
    """The migration that this action began, as this turn's steps have it."""
    row: Migration = step.once("migration", lambda: Migration.objects.get(action_id=step.action.pk))
    return row


def change_migration(step: StepContext, **changes: Any) -> None:
    """One UPDATE of the columns named; the row that the turn remembers changes with it."""
    Migration.objects.filter(action_id=step.action.pk).update(**changes, updated_at=timezone.now())
    row = step.memory.get("migration")
    if row is not None:
        for column, value in changes.items():
            setattr(row, column, value)


def end_migrations(instance_id: UUID) -> None:
    """After it no migration of the instance goes on or holds room: it is being deleted."""
    rows = Migration.objects.filter(instance_id=instance_id).exclude(status__in=OVER)
    for migration in rows:
        claims.release(migration.uuid)
    rows.update(status=MigrationStatus.CANCELLED, updated_at=timezone.now())
