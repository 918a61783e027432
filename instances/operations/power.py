"""What verbs that end a guest or set it going tell its host besides the guest."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from cloud.workflow.operation import StepContext
from instances.models import Instance
from instances.operations.base import InstanceOperation
from instances.states import VmState
from instances.steps.row import instance_of

_ON = (VmState.ACTIVE, VmState.PAUSED, VmState.RESCUED)


class PowerOperation(InstanceOperation):
    """A verb during which the guest is off for a while, or that ends or begins its run."""

    def inputs(self, context: StepContext) -> dict[str, Any]:
        """The guest; `was_on`: whether it is to run again if the verb is undone; `stop_seconds`: how long it may take
        to shut down when it is asked."""
        instance = instance_of(context)
        return {
            **super().inputs(context),
            "was_on": instance.vm_state in _ON,
            "stop_seconds": stop_seconds(instance),
        }


def stop_seconds(instance: Instance) -> float:
    """The image's `os_shutdown_timeout`, in seconds; `SHUTDOWN_TIMEOUT` for an image without a usable one."""
    text = str(instance.image_properties.get("os_shutdown_timeout", ""))
    return float(text) if text.isdecimal() else float(settings.SHUTDOWN_TIMEOUT)
