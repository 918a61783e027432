"""`stop`, `start` and `reboot`: what begins or ends the guest's run."""

from __future__ import annotations

from cloud.api.policy import Caller
from cloud.workflow.models import Action
from instances.models import Instance
from instances.services.verb import start_verb


def stop_instance(*, caller: Caller, instance: Instance) -> Action:
    """Shuts the guest down. Errors: see `start_verb`."""
    return start_verb(caller=caller, instance=instance, verb="stop")


def start_instance(*, caller: Caller, instance: Instance) -> Action:
    """Runs the guest of a stopped instance. Errors: see `start_verb`."""
    return start_verb(caller=caller, instance=instance, verb="start")


def hard_reboot_instance(*, caller: Caller, instance: Instance) -> Action:
    """Ends the guest and runs it anew. Errors: see `start_verb`."""
    return start_verb(caller=caller, instance=instance, verb="hard_reboot")
