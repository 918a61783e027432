"""`os-resetState` and `changePassword`."""

from __future__ import annotations

from rest_framework.response import Response

from instances import services
from instances.api.schemas import administration as schemas
from instances.api.views.base import InstancesView
from instances.models import Instance
from instances.states import VmState


def reset_state(view: InstancesView, instance: Instance) -> Response:
    """The instance is what the operator says."""
    asked = view.body(schemas.RESET_STATE)["os-resetState"]["state"]
    services.reset_state(caller=view.caller, instance=instance, vm_state=VmState(asked))
    return Response(status=202)


def change_password(view: InstancesView, instance: Instance) -> Response:
    """The guest's administrator has another password."""
    asked = view.body(schemas.CHANGE_PASSWORD)["changePassword"]["adminPass"]
    services.change_password(caller=view.caller, instance=instance, password=asked)
    return Response(status=202)


ACTIONS = {"os-resetState": reset_state, "changePassword": change_password}
