"""Abort and force-complete of a live migration that is on its way: actions of their own on the migration, so that they
pass by what holds the instance. Their host is the source, which sends the guest."""

from __future__ import annotations

from typing import Any

from cloud.workflow.operation import Operation, StepContext
from hypervisor.steps import Role, abort_migration, force_migration


class MigrationControl(Operation):
    """Says something to the host that sends the guest. `parameters`: `source`, `instance`, `of_action`."""

    def hosts(self, role: Role, context: StepContext) -> tuple[str, ...]:
        """The source."""
        return (context.parameters["source"],)

    def inputs(self, context: StepContext) -> dict[str, Any]:
        """Whose migration, and the action that it is at work for."""
        return {name: context.parameters[name] for name in ("instance", "of_action")}


class AbortLiveMigration(MigrationControl):
    """The migration hears that it is to end. That the guest stays, and that all else is undone, is the migration's own
    action to see to: it was cancelled when this one began."""

    name = "live_migration_abort"
    action = "live_migration_cancel"
    steps = (abort_migration,)


class ForceCompleteLiveMigration(MigrationControl):
    """The migration hears that it is to complete whatever it costs the guest."""

    name = "live_migration_force_complete"
    action = "live_migration_force_complete"
    steps = (force_migration,)
