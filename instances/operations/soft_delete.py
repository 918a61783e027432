"""`delete` where deleted instances are kept for a while: the guest is off, all else stays until it is reclaimed."""

from __future__ import annotations

from django.utils import timezone

from cloud.workflow.operation import StepContext
from hypervisor.steps import stop_guest
from instances.models import Instance
from instances.operations.power import PowerOperation


class SoftDelete(PowerOperation):
    """The guest is off and the instance is hidden; `restore` brings it back, the reclaiming sweep deletes it."""

    name = "soft_delete"
    action = "delete"
    verb = "softDelete"
    steps = (stop_guest,)

    def succeeded(self, context: StepContext) -> None:
        """SOFT_DELETED from now on."""
        super().succeeded(context)
        Instance.objects.filter(pk=context.target_id).update(soft_deleted_at=timezone.now())
