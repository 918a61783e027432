"""POST /servers/{id}/action: one key of the body names the verb."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from rest_framework.request import Request
from rest_framework.response import Response

from cloud.errors import BadRequest
from instances.api.schemas import servers as schemas
from instances.api.views.actions import console, deletion, live_migration, locks, power
from instances.api.views.base import InstancesView
from instances.models import Instance

# The wire's name of a verb → what serves it. A family adds its module.
ACTIONS: Mapping[str, Callable[[InstancesView, Instance], Response]] = MappingProxyType(
    {
        **console.ACTIONS,
        **deletion.ACTIONS,
        **locks.ACTIONS,
        **power.ACTIONS,
        **live_migration.ACTIONS,
    }
)


class ServerActionView(InstancesView):
    """POST /servers/{id}/action."""

    def post(self, request: Request, server_id: str) -> Response:
        instance = self.instance(server_id)
        name = next(iter(self.body(schemas.ACTION)))
        handler = ACTIONS.get(name)
        if handler is None:
            raise BadRequest(f"There is no such action: {name[:80]}", field=name[:80])
        return handler(self, instance)
