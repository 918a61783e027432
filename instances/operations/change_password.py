"""`changePassword`: the agent inside the guest gives a user another password."""

from __future__ import annotations

from typing import Any

from cloud.workflow.models import Action
from cloud.workflow.operation import StepContext
from hypervisor.steps import set_password
from instances.operations.base import InstanceOperation


class ChangePassword(InstanceOperation):
    """The guest's user has the new password; the cloud forgets it (kept sealed) when the action ends."""

    name = "change_password"
    action = "changePassword"
    steps = (set_password,)

    def inputs(self, context: StepContext) -> dict[str, Any]:
        """Whose password, and the password under the host's seal."""
        return {"user": context.parameters["user"], "password": context.parameters["password"]}

    def settle(self, context: StepContext, **changes: Any) -> None:
        """Idle again, and the password is forgotten."""
        super().settle(context, **changes)
        kept = {name: value for name, value in context.parameters.items() if name != "password"}
        Action.objects.filter(pk=context.action.pk).update(parameters=kept)
