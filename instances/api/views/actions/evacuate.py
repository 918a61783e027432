"""`evacuate`."""

from __future__ import annotations

from rest_framework.response import Response

from cloud.api.schemas import boolean
from cloud.errors import BadRequest
from instances import services
from instances.api.passwords import new_password
from instances.api.schemas import remake as schemas
from instances.api.views.base import InstancesView
from instances.models import Instance


def evacuate(view: InstancesView, instance: Instance) -> Response:
    """Brings the instance up on another host than its own, which is down.

    Before 2.14 the request says whether the storage is shared, and the reply has a password; from 2.29 a named host is
    checked, unless `force` says not to (until 2.68); from 2.95 the guest is not started.
    """
    asked = view.body(schemas.evacuate(view.version))["evacuate"]
    minor = view.version.minor
    is_old = minor < 14
    is_shared = boolean(asked["onSharedStorage"]) if is_old else None
    password = asked.get("adminPass") or (new_password() if is_shared is False else None)
    if is_shared and password:
        raise BadRequest("admin password can't be changed on existing disk", field="adminPass")
    services.evacuate_instance(
        caller=view.caller,
        instance=instance,
        host=asked.get("host"),
        force=boolean(asked.get("force", False)) if minor >= 29 else "host" in asked,
        password=password,
        is_shared=is_shared,
        ends_stopped=minor >= 95,
    )
    return Response({"adminPass": password}) if is_old else Response(status=200)


ACTIONS = {"evacuate": evacuate}
