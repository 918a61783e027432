"""Abort and force-complete of a live migration."""

from __future__ import annotations

import logging
from collections.abc import Collection

from django.db import transaction

from cloud.api.policy import Caller, require_admin
from cloud.errors import BadRequest
from cloud.workflow.models import Action
from cloud.workflow.runner import cancel
from cloud.workflow.services import start_actions
from instances.models import Migration, MigrationStatus, MigrationType

log = logging.getLogger(__name__)

_BEFORE = (MigrationStatus.ACCEPTED, MigrationStatus.QUEUED, MigrationStatus.PREPARING)


class WrongMigrationState(BadRequest):
    """The migration is not, or no longer, where this could be done to it."""

    code = "migration.wrong_state"


def abort_live_migration(*, caller: Caller, migration: Migration, may_be_early: bool = True) -> Action:
    """Ends the migration: the guest stays at the source, and the destination is cleared. `may_be_early`: also before
    the guest began to go.

    Raises WrongMigrationState (400), TargetBusy (409) when it is being steered already.
    """
    require_admin(caller, "aborting a live migration")
    allowed = (*_BEFORE, MigrationStatus.RUNNING) if may_be_early else (MigrationStatus.RUNNING,)
    with transaction.atomic():
        action = _steer(caller, migration, "live_migration_abort", allowed)
        cancel(migration.action_id)
    return action


def force_live_migration(*, caller: Caller, migration: Migration) -> Action:
    """Completes the migration whatever it costs the guest: by post-copy where that is permitted, else by pausing it.

    Raises WrongMigrationState (400), TargetBusy (409) when it is being steered already.
    """
    require_admin(caller, "forcing a live migration to complete")
    return _steer(caller, migration, "live_migration_force_complete", (MigrationStatus.RUNNING,))


def _steer(caller: Caller, migration: Migration, operation: str, allowed: Collection[str]) -> Action:
    with transaction.atomic():
        row = Migration.objects.select_for_update().get(pk=migration.pk)
        if row.type != MigrationType.LIVE or row.status not in allowed:
            raise WrongMigrationState(
                f"Migration {row.pk} of instance {row.instance_id} is a {row.type} in state {row.status}; this needs a "
                f"live-migration in {' or '.join(allowed)}."
            )
        (action,) = start_actions(
            operation=operation,
            targets=[row.uuid],
            target_type="migration",
            project_id=row.project_id,
            user_id=caller.user_id,
            parameters={
                "source": row.source_host,
                "instance": str(row.instance_id),
                "of_action": str(row.action_id),
            },
        )
        Action.objects.filter(pk=action.pk).update(parent=row.action_id)
    log.info("migration %s of instance %s: %s asked for", row.pk, row.instance_id, operation)
    return action
