"""`shelve`, `shelveOffload` and `unshelve`."""

from __future__ import annotations

from rest_framework.response import Response

from instances import services
from instances.api.schemas import shelving as schemas
from instances.api.views.base import InstancesView
from instances.models import Instance
from instances.services.shelve import UnshelvePlace


def shelve(view: InstancesView, instance: Instance) -> Response:
    """Stops the guest and keeps an image of it; settings say when it leaves its host."""
    view.body(schemas.SHELVE)
    services.shelve_instance(caller=view.caller, instance=instance)
    return Response(status=202)


def shelve_offload(view: InstancesView, instance: Instance) -> Response:
    """Takes a shelved server off its host now."""
    view.body(schemas.SHELVE_OFFLOAD)
    services.shelve_offload_instance(caller=view.caller, instance=instance)
    return Response(status=202)


def unshelve(view: InstancesView, instance: Instance) -> Response:
    """Runs a shelved server again, in the zone (2.77) or on the host (2.91) that is named."""
    asked = view.body(schemas.unshelve(view.version))["unshelve"]
    place = None
    if view.version.minor >= 77 and asked:
        place = UnshelvePlace(
            changes_zone="availability_zone" in asked,
            zone=asked.get("availability_zone"),
            host=asked.get("host", ""),
        )
    services.unshelve_instance(caller=view.caller, instance=instance, place=place)
    return Response(status=202)


ACTIONS = {"shelve": shelve, "shelveOffload": shelve_offload, "unshelve": unshelve}
