"""`lock` and `unlock`."""

from __future__ import annotations

from rest_framework.response import Response

from instances import services
from instances.api.schemas import servers as schemas
from instances.api.views.base import InstancesView
from instances.models import Instance


def lock(view: InstancesView, instance: Instance) -> Response:
    """Refuses most verbs of non-admins from now on."""
    asked = view.body(schemas.lock(view.version))["lock"]
    reason = asked.get("locked_reason") if isinstance(asked, dict) else None
    services.lock_instance(caller=view.caller, instance=instance, reason=reason)
    return Response(status=202)


def unlock(view: InstancesView, instance: Instance) -> Response:
    """Takes the lock away."""
    services.unlock_instance(caller=view.caller, instance=instance)
    return Response(status=202)


ACTIONS = {"lock": lock, "unlock": unlock}
