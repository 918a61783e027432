"""POST /servers/{id}/action: one key of the body names the verb."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from rest_framework.request import Request
from rest_framework.response import Response

from instances.api.schemas import servers as schemas
from instances.api.views.actions import (
    administration,
    console,
    deletion,
    evacuate,
    images,
    live_migration,
    locks,
    moves,
    power,
    rebuild,
    rescue,
    shelving,
)
from instances.api.views.base import InstancesView, no_such_action
from instances.models import Instance

# The wire's name of a verb → what serves it. A family adds its module.
ACTIONS: Mapping[str, Callable[[InstancesView, Instance], Response]] = MappingProxyType(
    {
        **administration.ACTIONS,
        **console.ACTIONS,
        **deletion.ACTIONS,
        **locks.ACTIONS,
        **power.ACTIONS,
        **rebuild.ACTIONS,
        **rescue.ACTIONS,
        **evacuate.ACTIONS,
        **images.ACTIONS,
        **shelving.ACTIONS,
        **moves.ACTIONS,
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
            raise no_such_action(name)
        return handler(self, instance)
