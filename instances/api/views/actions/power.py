"""`os-stop`, `os-start`, `reboot`, `pause`, `unpause`, `suspend`, `resume` and `trigger_crash_dump`."""

from __future__ import annotations

from rest_framework.response import Response

from cloud.api.microversions import microversion
from instances import services
from instances.api.schemas import power as schemas
from instances.api.views.base import InstancesView, no_such_action
from instances.models import Instance

_CRASH_DUMPS_FROM = microversion("2.17")


def stop(view: InstancesView, instance: Instance) -> Response:
    """Shuts the guest down."""
    view.body(schemas.STOP)
    services.stop_instance(caller=view.caller, instance=instance)
    return Response(status=202)


def start(view: InstancesView, instance: Instance) -> Response:
    """Runs the guest of a stopped instance."""
    view.body(schemas.START)
    services.start_instance(caller=view.caller, instance=instance)
    return Response(status=202)


def reboot(view: InstancesView, instance: Instance) -> Response:
    """SOFT: the guest is asked. HARD: power off and on."""
    kind = view.body(schemas.REBOOT)["reboot"]["type"].upper()
    service = services.hard_reboot_instance if kind == "HARD" else services.reboot_instance
    service(caller=view.caller, instance=instance)
    return Response(status=202)


def pause(view: InstancesView, instance: Instance) -> Response:
    """Halts the guest, its memory where it is."""
    view.body(schemas.PAUSE)
    services.pause_instance(caller=view.caller, instance=instance)
    return Response(status=202)


def unpause(view: InstancesView, instance: Instance) -> Response:
    """Lets a paused guest run on."""
    view.body(schemas.UNPAUSE)
    services.unpause_instance(caller=view.caller, instance=instance)
    return Response(status=202)


def suspend(view: InstancesView, instance: Instance) -> Response:
    """Saves the guest's memory and ends it."""
    view.body(schemas.SUSPEND)
    services.suspend_instance(caller=view.caller, instance=instance)
    return Response(status=202)


def resume(view: InstancesView, instance: Instance) -> Response:
    """Lets a suspended guest go on."""
    view.body(schemas.RESUME)
    services.resume_instance(caller=view.caller, instance=instance)
    return Response(status=202)


def trigger_crash_dump(view: InstancesView, instance: Instance) -> Response:
    """Sends the guest an NMI; from 2.17 on."""
    if view.version < _CRASH_DUMPS_FROM:
        raise no_such_action("trigger_crash_dump")
    view.body(schemas.TRIGGER_CRASH_DUMP)
    services.trigger_crash_dump(caller=view.caller, instance=instance)
    return Response(status=202)


ACTIONS = {
    "os-stop": stop,
    "os-start": start,
    "reboot": reboot,
    "pause": pause,
    "unpause": unpause,
    "suspend": suspend,
    "resume": resume,
    "trigger_crash_dump": trigger_crash_dump,
}
