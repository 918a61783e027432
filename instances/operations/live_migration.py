"""`live-migration`: a running guest goes to another host and goes on there."""

from __future__ import annotations

import copy
from typing import Any

from cloud.workflow.operation import PIVOT, StepContext
from cloud.workflow.states import ActionState
from hypervisor.spec import encode
from hypervisor.steps import (
    Role,
    check_destination,
    check_source,
    expect_guest,
    fetch_base,
    finish_guest,
    forget_source,
    migrate_guest,
    plug_at_destination,
    prepare_disk,
)
from instances.guest_spec import guest_spec
from instances.models import MigrationStatus
from instances.operations.base import InstanceOperation
from instances.states import VmState
from instances.steps.live_migration import (
    begin_migration,
    claim_destination,
    move_instance,
    prepare_migration,
    release_source,
    select_destination,
)
from instances.steps.migration_rows import change_migration
from instances.steps.row import instance_of


class LiveMigration(InstanceOperation):
    """The guest is on at the destination and nothing of it is left at the source; on failure it is at the source as
    before and nothing is left at the destination. From `migrate_guest` on there is no way back: only whether it moved.
    """

    name = "live_migration"
    action = "live-migration"
    steps = (
        *(prepare_migration, check_source, select_destination, claim_destination),
        *(check_destination, fetch_base, prepare_disk, plug_at_destination, expect_guest),
        *(begin_migration, PIVOT, migrate_guest),
        *(move_instance, finish_guest, forget_source, release_source),
    )

    def hosts(self, role: Role, context: StepContext) -> tuple[str, ...]:
        """The host that the instance was on when it was asked for, and the one that was claimed."""
        if role is Role.SOURCE:
            return (context.parameters["source"],)
        return (context.outputs["claim_destination"]["host"],)

    def pivot_witnesses(self, context: StepContext) -> tuple[str, ...]:
        """Hosts whose yes to "has it moved?" counts when the pivot's own host is down; their no does not, for the
        source may still be sending. For the engine's rule R5."""
        return (context.outputs["claim_destination"]["host"],)

    def inputs(self, context: StepContext) -> dict[str, Any]:
        """The guest, with the zone that it will be in; `options`: how it is to go; whether it is paused."""
        instance = copy.copy(instance_of(context))
        claimed = context.outputs.get("claim_destination")
        if claimed:
            instance.availability_zone = claimed["zone"]
        return {
            "guest": encode(guest_spec(instance, url_expires_at=context.action.deadline)),
            "options": context.parameters["options"],
            "is_paused": instance.vm_state == VmState.PAUSED,
        }

    def succeeded(self, context: StepContext) -> None:
        """What it was, on the other host; the migration has what was measured."""
        super().succeeded(context)
        measured = (context.outputs.get("finish_guest") or {}).get("measured") or {}
        change_migration(context, status=MigrationStatus.COMPLETED, details=measured)

    def failed(self, context: StepContext, fault: dict[str, Any]) -> None:
        """What it was, where it was, with a fault; without one when it was called off."""
        if context.action.cancel_requested and context.action.state != ActionState.STUCK:
            self.settle(context)
            change_migration(context, status=MigrationStatus.CANCELLED)
            return
        super().failed(context, fault)
        is_stuck = context.action.state == ActionState.STUCK
        change_migration(context, status=MigrationStatus.ERROR if is_stuck else MigrationStatus.FAILED)
