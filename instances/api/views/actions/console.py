"""`os-getConsoleOutput`."""

from __future__ import annotations

from rest_framework.response import Response

from instances import services
from instances.api.schemas import servers as schemas
from instances.api.views.base import InstancesView
from instances.models import Instance


def get_console_output(view: InstancesView, instance: Instance) -> Response:
    """What the guest wrote to its console: its last `length` lines; all that is kept without a length, or for −1."""
    asked = view.body(schemas.CONSOLE_OUTPUT)["os-getConsoleOutput"] or {}
    length = asked.get("length")
    lines = None if length is None or int(length) < 0 else int(length)
    return Response({"output": services.console_output(caller=view.caller, instance=instance, lines=lines)})


ACTIONS = {"os-getConsoleOutput": get_console_output}
