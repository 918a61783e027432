"""`os-stop`, `os-start` and `reboot`."""

from __future__ import annotations

from rest_framework.response import Response

from instances import services
from instances.api.schemas import power as schemas
from instances.api.views.base import InstancesView
from instances.models import Instance


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
    """HARD: power off and on."""
    view.body(schemas.REBOOT)
    services.hard_reboot_instance(caller=view.caller, instance=instance)
    return Response(status=202)


ACTIONS = {"os-stop": stop, "os-start": start, "reboot": reboot}
