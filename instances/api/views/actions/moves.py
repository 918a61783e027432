"""`resize`, `migrate`, `confirmResize` and `revertResize`."""

from __future__ import annotations

from rest_framework.response import Response

from instances import services
from instances.api.schemas import moves as schemas
from instances.api.views.base import InstancesView
from instances.models import Instance


def resize(view: InstancesView, instance: Instance) -> Response:
    """Gives the instance another flavor."""
    asked = view.body(schemas.RESIZE)["resize"]
    services.resize_instance(
        caller=view.caller,
        instance=instance,
        flavor_id=str(asked["flavorRef"]),
        disk_config=asked.get("OS-DCF:diskConfig"),
    )
    return Response(status=202)


def migrate(view: InstancesView, instance: Instance) -> Response:
    """Moves the instance to another host."""
    asked = view.body(schemas.migrate(view.version))["migrate"]
    host = asked.get("host") if isinstance(asked, dict) and view.version.minor >= 56 else None
    services.migrate_instance(caller=view.caller, instance=instance, host=host)
    return Response(status=202)


def confirm(view: InstancesView, instance: Instance) -> Response:
    """Discards what the instance was before."""
    view.body(schemas.CONFIRM)
    services.confirm_resize(caller=view.caller, instance=instance)
    return Response(status=204)


def revert(view: InstancesView, instance: Instance) -> Response:
    """Makes the instance again what it was before."""
    view.body(schemas.REVERT)
    services.revert_resize(caller=view.caller, instance=instance)
    return Response(status=202)


ACTIONS = {"resize": resize, "migrate": migrate, "confirmResize": confirm, "revertResize": revert}
