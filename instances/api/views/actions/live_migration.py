"""`os-migrateLive`."""

from __future__ import annotations

from rest_framework.response import Response

from cloud.api.schemas import boolean
from cloud.errors import BadRequest
from instances import services
from instances.api.schemas import live_migration as schemas
from instances.api.views.base import InstancesView
from instances.models import Instance


def migrate_live(view: InstancesView, instance: Instance) -> Response:
    """Takes the running guest to another host. `disk_over_commit` changes nothing: the room is always claimed whole."""
    asked = view.body(schemas.migrate_live(view.version))["os-migrateLive"]
    block_migration = None if asked["block_migration"] == "auto" else boolean(asked["block_migration"])
    is_forced = boolean(asked.get("force", False))
    if is_forced and not asked["host"]:
        raise BadRequest("Can't force to a non-provided destination: force needs a host.", field="force")
    services.live_migrate_instance(
        caller=view.caller,
        instance=instance,
        host=asked["host"],
        block_migration=block_migration,
        is_forced=is_forced,
    )
    return Response(status=202)


ACTIONS = {"os-migrateLive": migrate_live}
