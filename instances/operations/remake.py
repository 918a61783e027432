"""What the verbs share that give a guest other disks: rebuild, rescue, unrescue.

While they go forward their host is told of the guest as it is to be; while they unwind, as it was.
"""

from __future__ import annotations

import copy
from typing import Any

from cloud.workflow.operation import StepContext
from cloud.workflow.states import ActionState
from hypervisor.spec import GuestSpec, encode
from instances.guest_spec import guest_spec, with_password
from instances.models import Instance
from instances.operations.base import InstanceOperation
from instances.operations.power import stop_seconds
from instances.secrets import forget_password, password_of
from instances.states import PowerState, VmState
from instances.steps.row import instance_of

_RUNS = (PowerState.RUNNING, PowerState.PAUSED)


class RemakeOperation(InstanceOperation):
    """A verb after which the guest boots from another disk. Its row changes when it succeeded, and not before."""

    def changes(self, context: StepContext) -> dict[str, Any]:
        """The columns of the row that are otherwise once the verb succeeded, as far as the guest depends on them."""
        raise NotImplementedError

    def runs(self, instance: Instance) -> bool:
        """Whether the guest is to run afterwards."""
        return True

    def is_asked_to_stop(self) -> bool:
        """Whether the guest is asked to shut down before its power goes."""
        return True

    def inputs(self, context: StepContext) -> dict[str, Any]:
        """The guest; `was_on`: whether it is to run again if the verb is undone; `runs`: whether it is to if not."""
        instance = instance_of(context)
        was_on = instance.vm_state in (VmState.ACTIVE, VmState.RESCUED)
        if instance.vm_state == VmState.ERROR:
            was_on = instance.power_state in _RUNS
        return {
            "guest": encode(self.guest(context)),
            "was_on": was_on,
            "runs": self.runs(instance),
            "stop_seconds": stop_seconds(instance) if self.is_asked_to_stop() else 0,
        }

    def guest(self, context: StepContext) -> GuestSpec:
        """The guest as it is to be, or while the verb unwinds as it was."""
        was = instance_of(context)
        if context.action.state == ActionState.UNWINDING:
            return guest_spec(was, url_expires_at=context.action.deadline)
        row = copy.copy(was)
        for column, value in self.changes(context).items():
            setattr(row, column, value)
        made = guest_spec(row, url_expires_at=context.action.deadline)
        password = password_of(context.action)
        return made if password is None else with_password(made, password)

    def settle(self, context: StepContext, **changes: Any) -> None:
        """One UPDATE; the password that the action was given is forgotten with it."""
        super().settle(context, **changes)
        forget_password(context.action)
