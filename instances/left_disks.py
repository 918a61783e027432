"""What a host may remove of instances that are not its own any more: when it says hello (rule R6), and what it had to
keep then."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from uuid import UUID

from django.db import transaction

from cloud import context
from cloud.workflow.models import Action, Host
from cloud.workflow.services import TargetBusy, start_actions
from cloud.workflow.states import LIVE
from instances.models import Instance, Migration, MigrationStatus, MigrationType
from scheduling.selectors import storage_ids_of

log = logging.getLogger(__name__)

_BATCH = 50


def disks_to_keep(host: str, instance_ids: Iterable[str]) -> set[str]:
    """Those of `instance_ids` whose directory must stay on `host`, which is to let their guests go.

    A directory is removed only when it is certain that nobody needs it: the instance is deleted, or it is on another
    host, on storage that is known to be another, with no action under way that might yet bring it back here.
    """
    asked = {str(instance_id) for instance_id in instance_ids}
    rows = dict(Instance.objects.filter(pk__in=asked).values_list("pk", "host"))
    deleted = set(Instance.objects.filter(pk__in=asked, deleted_at__isnull=False).values_list("pk", flat=True))
    busy = set(Action.objects.filter(target_id__in=asked, state__in=LIVE).values_list("target_id", flat=True))
    storage = storage_ids_of({host, *rows.values()})

    def is_left(key: UUID) -> bool:
        if key in busy or key not in rows:
            return False
        return key in deleted or _is_apart(storage, host, rows[key])

    return {text for text in asked if not is_left(UUID(text))}


def _is_apart(storage: Mapping[str, str], host: str, other: str) -> bool:
    """Whether `other` is another host, with storage that is known not to be that of `host`."""
    ids = storage.get(host, ""), storage.get(other, "")
    return other not in ("", host) and all(ids) and ids[0] != ids[1]


def disks_of_others(host: str, instance_ids: Iterable[str]) -> set[str]:
    """Those of `instance_ids` whose directory on `host` is, or may be, that of another host: the instance is there now,
    on storage that both share, or nobody knows whether they do. What `host` owes must not touch it.
    """
    asked = {str(instance_id) for instance_id in instance_ids}
    alive = Instance.objects.filter(pk__in=asked, deleted_at=None).exclude(host__in=["", host])
    rows = dict(alive.values_list("pk", "host"))
    storage = storage_ids_of({host, *rows.values()})

    def is_shared(there: str) -> bool:
        ids = storage.get(host, ""), storage.get(there, "")
        return not all(ids) or ids[0] == ids[1]

    return {str(key) for key, there in rows.items() if is_shared(there)}


def clear_after_evacuations() -> None:
    """Starts an action that removes the directory of an evacuated instance from its old host, where that had come back
    too early to remove it itself (see `steps.evacuation.note_what_was_left`). What is busy waits for the next sweep."""
    done = Migration.objects.filter(type=MigrationType.EVACUATION, status=MigrationStatus.COMPLETED)
    for migration in done.filter(details__left_on__isnull=False).order_by("updated_at")[:_BATCH]:
        _clear(migration)


def _clear(migration: Migration) -> None:
    details = dict(migration.details)
    host, target = details.pop("left_on"), migration.instance_id
    if not Host.objects.filter(pk=host, is_up=True).exists():
        return  # when it says hello it removes it, or it is cleared after that
    try:
        with context.bound(request_id=context.new_request_id()), transaction.atomic():
            Migration.objects.filter(pk=migration.pk).update(details=details)
            start_actions(
                operation="clear_remains",
                targets=[target],
                target_type="instance",
                project_id="",
                user_id="",
                parameters={"remains": {host: {"remove": [str(target)]}}},
            )
            # The slot is taken: from here on the instance stays where it is.
            there = Instance.objects.get(pk=target).host
            if not _is_apart(storage_ids_of({host, there}), host, there):
                raise _BackAgain
    except TargetBusy as busy:
        log.info("what instance %s left on host %s is not cleared now: %s", target, host, busy.message)
    except _BackAgain:
        Migration.objects.filter(pk=migration.pk).update(details=details)
        log.info(
            "instance %s is on host %s again, or on storage that it shares: nothing of it is removed", target, host
        )


class _BackAgain(Exception):
    """What is to be removed may be the instance's own by now."""
