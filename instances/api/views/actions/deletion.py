"""`forceDelete` and `restore`."""

from __future__ import annotations

from rest_framework.response import Response

from instances import services
from instances.api.schemas import deletion as schemas
from instances.api.views.base import InstancesView
from instances.models import Instance


def force_delete(view: InstancesView, instance: Instance) -> Response:
    """A delete that no soft delete puts off."""
    view.body(schemas.FORCE_DELETE)
    services.delete_instance(caller=view.caller, instance=instance)
    return Response(status=202)


def restore(view: InstancesView, instance: Instance) -> Response:
    """Brings back what was deleted softly."""
    view.body(schemas.RESTORE)
    services.restore_instance(caller=view.caller, instance=instance)
    return Response(status=202)


ACTIONS = {"forceDelete": force_delete, "restore": restore}
