"""POST /servers/{id}/action: one key of the body names the verb."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from rest_framework.request import Request
from rest_framework.response import Response

from cloud.errors import BadRequest
from instances import services
from instances.api.schemas import servers as schemas
from instances.api.views.base import InstancesView
from instances.models import Instance


class ServerActionView(InstancesView):
    """POST /servers/{id}/action."""

    def post(self, request: Request, server_id: str) -> Response:
        instance = self.instance(server_id)
        name = next(iter(self.body(schemas.ACTION)))
        handler = ACTIONS.get(name)
        if handler is None:
            raise BadRequest(f"There is no such action: {name[:80]}", field=name[:80])
        return handler(self, instance)


def get_console_output(view: ServerActionView, instance: Instance) -> Response:
    """What the guest wrote to its console: its last `length` lines; all that is kept without a length, or for −1."""
    asked = view.body(schemas.CONSOLE_OUTPUT)["os-getConsoleOutput"] or {}
    length = asked.get("length")
    lines = None if length is None or int(length) < 0 else int(length)
    return Response({"output": services.console_output(caller=view.caller, instance=instance, lines=lines)})


def lock(view: ServerActionView, instance: Instance) -> Response:
    """Refuses most verbs of non-admins from now on."""
    asked = view.body(schemas.lock(view.version))["lock"]
    reason = asked.get("locked_reason") if isinstance(asked, dict) else None
    services.lock_instance(caller=view.caller, instance=instance, reason=reason)
    return Response(status=202)


def unlock(view: ServerActionView, instance: Instance) -> Response:
    """Takes the lock away."""
    services.unlock_instance(caller=view.caller, instance=instance)
    return Response(status=202)


def force_delete(view: ServerActionView, instance: Instance) -> Response:
    """A delete: there is no soft delete yet that it could cut short."""
    services.delete_instance(caller=view.caller, instance=instance)
    return Response(status=202)


Action = Callable[[ServerActionView, Instance], Response]

# The wire's name of a verb → what serves it. A verb adds a line.
ACTIONS: Mapping[str, Action] = MappingProxyType(
    {
        "os-getConsoleOutput": get_console_output,
        "lock": lock,
        "unlock": unlock,
        "forceDelete": force_delete,
    }
)
