"""`rescue` and `unrescue`."""

from __future__ import annotations

from rest_framework.response import Response

from instances import services
from instances.api.passwords import new_password
from instances.api.schemas import remake as schemas
from instances.api.views.base import InstancesView
from instances.models import Instance


def rescue(view: InstancesView, instance: Instance) -> Response:
    """Boots from a rescue disk; the reply has the password of its administrator."""
    asked = view.body(schemas.RESCUE)["rescue"] or {}
    password = asked.get("adminPass") or new_password()
    services.rescue_instance(
        caller=view.caller, instance=instance, password=password, image_id=asked.get("rescue_image_ref")
    )
    return Response({"adminPass": password})


def unrescue(view: InstancesView, instance: Instance) -> Response:
    """Boots from the instance's own disk again."""
    view.body(schemas.UNRESCUE)
    services.unrescue_instance(caller=view.caller, instance=instance)
    return Response(status=202)


ACTIONS = {"rescue": rescue, "unrescue": unrescue}
