"""`reboot` of type SOFT: the guest is asked to go off and started again, its domain as it was."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from cloud.workflow.operation import StepContext
from hypervisor.steps import note_run, reboot_guest
from instances.operations.power import PowerOperation


class Reboot(PowerOperation):
    """The guest is in a new run; one that does not go off in SOFT_REBOOT_TIMEOUT seconds is rebooted hard. On failure
    it runs as before."""

    name = "reboot"
    action = "reboot"
    steps = (note_run, reboot_guest)

    def inputs(self, context: StepContext) -> dict[str, Any]:
        """The guest, and how long it may take."""
        return {**super().inputs(context), "reboot_seconds": settings.SOFT_REBOOT_TIMEOUT}
