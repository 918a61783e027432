"""What verbs that move a guest at rest have in common: two hosts, two sizes, one migration."""

from __future__ import annotations

import dataclasses
from typing import Any

from cloud.workflow.operation import StepContext
from cloud.workflow.states import ActionState
from hypervisor.spec import encode
from hypervisor.steps import Role
from instances.guest_spec import guest_spec
from instances.models import Migration, MigrationStatus
from instances.operations.base import InstanceOperation
from instances.operations.power import stop_seconds
from instances.sizes import resized
from instances.states import PowerState, VmState, seen_as
from instances.steps.moving import change_migration, migration_of
from instances.steps.row import instance_of
from scheduling.selectors import zones_of


class MoveOperation(InstanceOperation):
    """A guest leaves a host (steps of `SOURCE`) and arrives at another, or at the same one (steps of `HOST`)."""

    goes_back = False  # from the destination to the source of its migration, in its old size

    def hosts(self, role: Role, context: StepContext) -> tuple[str, ...]:
        """The host that is left, or the one that is gone to."""
        migration = migration_of(context)
        sides = (migration.source_host, migration.destination_host)
        leaving, arriving = reversed(sides) if self.goes_back else sides
        return (leaving if role == Role.SOURCE else arriving,)

    def inputs(self, context: StepContext) -> dict[str, Any]:
        """Both guests and both hosts; see `hypervisor.steps.move`. The same before and after the row has changed."""
        migration = migration_of(context)
        old = self._guest(context, migration.details["old"], migration.source_host)
        new = self._guest(context, migration.details["new"], migration.destination_host)
        arriving, leaving = (old, new) if self.goes_back else (new, old)
        (leaves,), (arrives,) = (self.hosts(role, context) for role in (Role.SOURCE, Role.HOST))
        claimed = context.outputs.get("claim_destination") or {}
        return {
            "guest": arriving,
            "leaving": leaving,
            "source": leaves,
            "destination": arrives,
            "peer": claimed.get("peer", ""),
            "base_peer": claimed.get("base_peer", ""),
            "was_on": self._was_on(context, migration),
            "runs": migration.details["vm_state"] == VmState.ACTIVE,
            "stop_seconds": stop_seconds(instance_of(context)),
            "aside_of": str(migration.action_id),
        }

    def _was_on(self, context: StepContext, migration: Migration) -> bool:
        if self.goes_back:
            return bool(instance_of(context).power_state == PowerState.RUNNING)
        return bool(migration.details["vm_state"] == VmState.ACTIVE)

    @staticmethod
    def _guest(context: StepContext, size: dict[str, Any], host: str) -> dict[str, Any]:
        """The guest of that size on that host. Its image has an address while the catalogue has the image."""
        row = resized(instance_of(context), size, availability_zone=zones_of([host]).get(host, ""))
        guest = guest_spec(row, url_expires_at=context.action.deadline)
        if not (context.outputs.get("claim_destination") or {}).get("has_image"):
            guest = dataclasses.replace(guest, image=dataclasses.replace(guest.image, url=""))
        return encode(guest)

    def _settled(self, context: StepContext, power_state: int | None, status: str) -> None:
        """The instance is what it was before the move, as its guest was seen; the migration is over."""
        vm_state, changes = migration_of(context).details["vm_state"], {}
        if power_state is not None:
            vm_state, changes = seen_as(vm_state, power_state), {"power_state": power_state}
        self.settle(context, vm_state=vm_state, previous_vm_state="", previous_flavor=None, **changes)
        change_migration(context, status=status)

    def _waits_again(self, context: StepContext) -> None:
        """A confirm or revert came to nothing: the migration waits for another, or for a person."""
        is_stuck = context.action.state == ActionState.STUCK
        change_migration(context, status=MigrationStatus.ERROR if is_stuck else MigrationStatus.FINISHED)
