"""Servers: create, list, show, change, delete."""

from __future__ import annotations

from typing import Any

from django.db import DataError
from rest_framework.request import Request
from rest_framework.response import Response

from cloud.api.schemas import boolean
from cloud.errors import BadRequest
from instances import selectors, services
from instances.api.boot_request import boot_request
from instances.api.links import next_links, self_url
from instances.api.passwords import new_password
from instances.api.schemas import servers as schemas
from instances.api.serializers import servers as serializers
from instances.api.server_list import asked_rows
from instances.api.views.base import InstancesView


class _ServersView(InstancesView):
    def form(self, *, in_list: bool = False, is_brief: bool = False) -> serializers.Form:
        """The representation that the request is answered with."""
        return serializers.Form(version=self.version, is_admin=self.caller.is_admin, in_list=in_list, is_brief=is_brief)

    def shown(self, server_id: str, form: serializers.Form) -> dict[str, Any]:
        """One server, as the database has it now."""
        rows = serializers.rows_of(selectors.instance_rows(self.caller, server_id), form)
        if not rows:
            raise selectors.no_such_instance(server_id)
        return serializers.server(rows[0], form, serializers.beside(rows, form))


class ServersView(_ServersView):
    """GET, POST /servers."""

    detail = False

    def get(self, request: Request) -> Response:
        rows, limit = asked_rows(self.caller, request.query_params, self.version)
        form = self.form(in_list=True)
        try:
            found = serializers.rows_of(rows, form) if self.detail else list(rows.values(*serializers.BASIC))
        except DataError as error:  # a pattern that PostgreSQL reads otherwise than Python
            raise BadRequest(f"Invalid input for query parameters: {str(error).splitlines()[0][:200]}") from None
        here, has_more = found[:limit], len(found) > limit
        if self.detail:
            around = serializers.beside(here, form)
            reply: dict[str, Any] = {"servers": [serializers.server(row, form, around) for row in here]}
        else:
            reply = {"servers": [serializers.basic(row) for row in here]}
        if has_more and here:
            reply["servers_links"] = next_links(request, here[-1]["id"], limit)
        return Response(reply)

    def post(self, request: Request) -> Response:
        body = self.body(schemas.create(self.version))
        wanted = body["server"]
        rows = services.boot_instances(caller=self.caller, request=boot_request(body))
        if boolean(wanted.get("return_reservation_id", False)):
            return Response({"reservation_id": rows[0].reservation_id}, status=202)
        password = wanted.get("adminPass") or new_password()
        response = Response({"server": serializers.created(rows[0], password)}, status=202)
        response["Location"] = self_url(f"servers/{rows[0].pk}")
        return response


class ServersDetailView(ServersView):
    """GET /servers/detail."""

    detail = True
    http_method_names = ["get", "head", "options"]


class ServerView(_ServersView):
    """GET, PUT, DELETE /servers/{id}."""

    def get(self, request: Request, server_id: str) -> Response:
        return Response({"server": self.shown(server_id, self.form())})

    def put(self, request: Request, server_id: str) -> Response:
        body = self.body(schemas.update(self.version))["server"]
        instance = self.instance(server_id)
        changes = {column: body[key] for key, column in _CHANGEABLE.items() if key in body}
        for column in ("access_ip_v4", "access_ip_v6"):
            if column in changes:
                changes[column] = changes[column] or None
        services.update_instance(caller=self.caller, instance=instance, **changes)
        return Response({"server": self.shown(server_id, self.form(is_brief=self.version.minor < 75))})

    def delete(self, request: Request, server_id: str) -> Response:
        services.request_delete(caller=self.caller, instance=self.instance(server_id))
        return Response(status=204)


_CHANGEABLE = {
    "name": "display_name",
    "description": "description",
    "hostname": "hostname",
    "accessIPv4": "access_ip_v4",
    "accessIPv6": "access_ip_v6",
    "OS-DCF:diskConfig": "disk_config",
}
