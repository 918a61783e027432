"""Which hosts may hold something of an instance, and under which names it holds room there.

An instance is on the host of its row; while it moves, and until a resize or cold migration is confirmed or reverted,
the other side of its migration keeps what it may go back to.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from instances.models import Instance, Migration, MigrationStatus, MigrationType

_OVER: Final = frozenset(
    {
        MigrationStatus.CONFIRMED,
        MigrationStatus.REVERTED,
        MigrationStatus.COMPLETED,
        MigrationStatus.CANCELLED,
        MigrationStatus.FAILED,
        MigrationStatus.ERROR,
    }
)
UNFINISHED: Final = tuple(status for status in MigrationStatus if status not in _OVER)


def instances_that_may_be_on(host: str) -> set[UUID]:
    """The instances of which `host` may keep anything: its own, and those that a migration which is not over moves from
    there or to there; of an evacuation the new side alone. What a host has of any other is a leftover."""
    own = Instance.objects.filter(host=host, deleted_at=None).values_list("pk", flat=True)
    sides = (Q(source_host=host) & ~Q(type=MigrationType.EVACUATION)) | Q(destination_host=host)
    moving = Migration.objects.filter(sides, status__in=UNFINISHED, instance__deleted_at=None)
    return {*own, *moving.values_list("instance_id", flat=True)}


def hosts_of_moves(instance_id: UUID) -> list[str]:
    """Both hosts of each migration of the instance that is not over."""
    rows = Migration.objects.filter(instance_id=instance_id, status__in=UNFINISHED)
    sides = rows.order_by("pk").values_list("source_host", "destination_host")
    return list(dict.fromkeys(host for pair in sides for host in pair if host))


def consumers_of(instance_id: UUID) -> list[UUID]:
    """Who may hold room for the instance: itself, and each of its migrations."""
    moves = Migration.objects.filter(instance_id=instance_id).order_by("pk")
    return [instance_id, *moves.values_list("uuid", flat=True)]


def moves_that_are_over(instance_id: UUID) -> list[UUID]:
    """The migrations of the instance in whose name nothing is to be held any more."""
    rows = Migration.objects.filter(instance_id=instance_id).exclude(status__in=UNFINISHED)
    return list(rows.order_by("pk").values_list("uuid", flat=True))


def end_moves(instance_id: UUID) -> None:
    """The instance is gone: a migration that waited is confirmed by that, nobody can go back; one under way is off."""
    rows = Migration.objects.filter(instance_id=instance_id)
    now = timezone.now()
    waiting = rows.filter(status__in=[MigrationStatus.FINISHED, MigrationStatus.CONFIRMING])
    waiting.update(status=MigrationStatus.CONFIRMED, updated_at=now)
    rows.filter(status__in=UNFINISHED).update(status=MigrationStatus.CANCELLED, updated_at=now)
