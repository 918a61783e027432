"""The live migrations of a server that are on their way: list, show, abort, force to complete. For admins."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from cloud.api.microversions import served
from cloud.api.policy import require_admin
from instances import services
from instances.api.schemas import live_migration as schemas
from instances.api.serializers.migrations import live_migration
from instances.api.views.base import InstancesView
from instances.migration_progress import in_progress, migration_in_progress

_EARLY_ABORT = 65  # the minor version from which a migration may be aborted before its guest began to go


class _AdminView(InstancesView):
    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        require_admin(self.caller, f"{request.method} {request.path}")


class ServerMigrationsView(_AdminView):
    """GET /servers/{id}/migrations."""

    @served("2.23")
    def get(self, request: Request, server_id: str) -> Response:
        rows = in_progress(self.instance(server_id))
        return Response({"migrations": [live_migration(row, self.version) for row in rows]})


class ServerMigrationView(_AdminView):
    """GET and DELETE /servers/{id}/migrations/{number}."""

    @served("2.23")
    def get(self, request: Request, server_id: str, migration_id: str) -> Response:
        row = migration_in_progress(self.instance(server_id), migration_id)
        return Response({"migration": live_migration(row, self.version)})

    @served("2.24")
    def delete(self, request: Request, server_id: str, migration_id: str) -> Response:
        row = migration_in_progress(self.instance(server_id), migration_id)
        may_be_early = self.version.minor >= _EARLY_ABORT
        services.abort_live_migration(caller=self.caller, migration=row, may_be_early=may_be_early)
        return Response(status=202)


class ServerMigrationActionView(_AdminView):
    """POST /servers/{id}/migrations/{number}/action."""

    @served("2.22")
    def post(self, request: Request, server_id: str, migration_id: str) -> Response:
        row = migration_in_progress(self.instance(server_id), migration_id)
        self.body(schemas.FORCE_COMPLETE)
        services.force_live_migration(caller=self.caller, migration=row)
        return Response(status=202)
