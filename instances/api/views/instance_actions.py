"""What was done with a server: its actions and their events. Readable after the delete from 2.21 on."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from cloud.api.paging import after, limit_of
from cloud.errors import BadRequest, NotFound
from instances.api.links import next_links
from instances.api.serializers import instance_actions as serializers
from instances.api.server_filters import moment
from instances.api.views.base import InstancesView
from instances.selectors import actions_of

_ORDER = ("-created_at", "-id")


class InstanceActionsView(InstancesView):
    """GET /servers/{id}/os-instance-actions, newest first."""

    def get(self, request: Request, server_id: str) -> Response:
        instance = self.instance(server_id, with_deleted=self.version.minor >= 21)
        rows = actions_of(instance)
        if self.version.minor < 58:
            return Response({"instanceActions": [serializers.action(row, self.version) for row in rows]})
        query = request.query_params
        since, before = query.get("changes-since"), query.get("changes-before")
        if since:
            rows = rows.filter(updated_at__gte=moment(since, "changes-since"))
        if before and self.version.minor >= 66:
            rows = rows.filter(updated_at__lte=moment(before, "changes-before"))
            if since and moment(since, "changes-since") > moment(before, "changes-before"):
                raise BadRequest("The value of changes-since must be less than or equal to changes-before.")
        limit = limit_of(query)
        if query.get("marker"):
            marker = actions_of(instance).filter(request_id=query["marker"]).last()
            if marker is None:
                raise BadRequest(f"marker [{query['marker'][:80]}] not found", field="marker")
            rows = after(rows, _ORDER, marker)
        found = list(rows[: limit + 1])
        reply: dict[str, Any] = {"instanceActions": [serializers.action(row, self.version) for row in found[:limit]]}
        if len(found) > limit > 0:
            reply["links"] = next_links(request, found[limit - 1].request_id, limit)
        return Response(reply)


class InstanceActionView(InstancesView):
    """GET /servers/{id}/os-instance-actions/{request id}."""

    def get(self, request: Request, server_id: str, request_id: str) -> Response:
        instance = self.instance(server_id, with_deleted=self.version.minor >= 21)
        row = actions_of(instance).filter(request_id=request_id).first()
        if row is None:
            raise NotFound(f"Action for request_id {request_id[:80]} on instance {instance.pk} not found")
        shown = serializers.action(row, self.version)
        is_admin = self.caller.is_admin
        if is_admin or self.version.minor >= 51:
            shown["events"] = serializers.events(
                row.events.order_by("turn", "id"), self.version, project_id=instance.project_id, is_admin=is_admin
            )
        return Response({"instanceAction": shown})
