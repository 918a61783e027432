"""`evacuate`: an instance whose host is down comes up on another one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils import timezone

from cloud.workflow.operation import StepContext
from hypervisor.spec import encode
from hypervisor.steps import Role, bring_up, fetch_image_there, plug_there, provide_disk
from instances.guest_spec import guest_spec, with_password
from instances.models import Migration, MigrationStatus
from instances.operations.base import InstanceOperation
from instances.secrets import forget_password, password_of
from instances.states import VmState
from instances.steps.evacuation import claim_destination, note_what_was_left, rebind_ports, select_destination
from instances.steps.row import instance_of
from scheduling import claims


class Evacuate(InstanceOperation):
    """The instance is on another host, on the disk that it had where the storage is shared, else on one made anew from
    its image; ACTIVE, or STOPPED when it was, or when the request's version says so. On failure it is its old host's.

    What is left of it there that host removes when it returns, before it takes work (rule R6); but for its directory,
    if it returns while this is going on: for that see `instances.left_disks.clear_after_evacuations`.
    """

    name = "evacuate"
    action = "evacuate"
    max_attempts = 3
    steps = (
        *(select_destination, claim_destination, rebind_ports),
        *(fetch_image_there, provide_disk, plug_there, bring_up),
    )

    def hosts(self, role: Role, context: StepContext) -> tuple[str, ...]:
        """The destination; nothing is asked of the host that is down."""
        return (context.outputs["claim_destination"]["host"],)

    def inputs(self, context: StepContext) -> dict[str, Any]:
        """The guest; `runs`: whether it is to run there."""
        made = guest_spec(instance_of(context), url_expires_at=context.action.deadline)
        password = password_of(context.action)
        return {
            "guest": encode(made if password is None else with_password(made, password)),
            "runs": context.parameters["runs"],
        }

    def succeeded(self, context: StepContext) -> None:
        """ACTIVE or STOPPED; what the instance held of its old host is free: that host takes no work before it has let
        the instance go."""
        runs = context.parameters["runs"]
        self.settle(
            context,
            vm_state=VmState.ACTIVE if runs else VmState.STOPPED,
            power_state=self.seen_power_state(context.outputs, reversed(self.sequence)),
            **({"launched_at": timezone.now()} if runs else {}),
        )
        claims.release(UUID(context.parameters["migration"]))
        self._end(context, MigrationStatus.COMPLETED)
        note_what_was_left(context)

    def failed(self, context: StepContext, fault: dict[str, Any]) -> None:
        """What it was, on its old host, with a fault."""
        self.settle(context)
        self.record_fault(context, fault)
        self._end(context, MigrationStatus.FAILED)

    def _end(self, context: StepContext, status: MigrationStatus) -> None:
        now = timezone.now()
        Migration.objects.filter(uuid=context.parameters["migration"]).update(status=status, updated_at=now)
        forget_password(context.action)
