"""The verbs that begin, end or halt the guest's run: stop, start, reboot, pause, suspend, and their ways back."""

from __future__ import annotations

from cloud.api.policy import Caller
from cloud.workflow.models import Action
from instances.models import Instance
from instances.services.remake_checks import check_has_host
from instances.services.verb import check_verb, start_verb


def _start_where_a_host_may_lack(caller: Caller, instance: Instance, verb: str) -> Action:
    """For verbs that start from ERROR too: where the boot failed there is no guest, and nothing to do the verb on."""
    check_verb(caller=caller, instance=instance, verb=verb)
    check_has_host(instance, verb)
    return start_verb(caller=caller, instance=instance, verb=verb)


def stop_instance(*, caller: Caller, instance: Instance) -> Action:
    """Shuts the guest down. Errors: see `start_verb`; NotLaunched (409) where it is on no host."""
    return _start_where_a_host_may_lack(caller, instance, "stop")


def start_instance(*, caller: Caller, instance: Instance) -> Action:
    """Runs the guest of a stopped instance. Errors: see `start_verb`."""
    return start_verb(caller=caller, instance=instance, verb="start")


def hard_reboot_instance(*, caller: Caller, instance: Instance) -> Action:
    """Ends the guest and runs it anew. Errors: see `start_verb`; NotLaunched (409) where it is on no host."""
    return _start_where_a_host_may_lack(caller, instance, "hard_reboot")


def reboot_instance(*, caller: Caller, instance: Instance) -> Action:
    """Asks the guest to reboot. Errors: see `start_verb`."""
    return start_verb(caller=caller, instance=instance, verb="reboot")


def pause_instance(*, caller: Caller, instance: Instance) -> Action:
    """Halts the guest, its memory where it is. Errors: see `start_verb`."""
    return start_verb(caller=caller, instance=instance, verb="pause")


def unpause_instance(*, caller: Caller, instance: Instance) -> Action:
    """Lets a paused guest run on. Errors: see `start_verb`."""
    return start_verb(caller=caller, instance=instance, verb="unpause")


def suspend_instance(*, caller: Caller, instance: Instance) -> Action:
    """Saves the guest's memory to its host's disk and ends it. Errors: see `start_verb`."""
    return start_verb(caller=caller, instance=instance, verb="suspend")


def resume_instance(*, caller: Caller, instance: Instance) -> Action:
    """Lets a suspended guest go on. Errors: see `start_verb`."""
    return start_verb(caller=caller, instance=instance, verb="resume")


def trigger_crash_dump(*, caller: Caller, instance: Instance) -> Action:
    """Sends the guest an NMI. Errors: see `start_verb`; NotLaunched (409) where it is on no host."""
    return _start_where_a_host_may_lack(caller, instance, "trigger_crash_dump")
