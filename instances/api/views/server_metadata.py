"""A server's metadata: texts by key."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from cloud.errors import BadRequest
from instances import services
from instances.api.schemas import server_metadata as schemas
from instances.api.views.base import InstancesView
from instances.services.update import MetadataKeyNotFound


class MetadataView(InstancesView):
    """GET, POST, PUT /servers/{id}/metadata: read all, add some, replace all."""

    def get(self, request: Request, server_id: str) -> Response:
        return Response({"metadata": self.instance(server_id).metadata})

    def post(self, request: Request, server_id: str) -> Response:
        items = self.body(schemas.ITEMS)["metadata"]
        instance = self.instance(server_id)
        return Response({"metadata": services.update_metadata(caller=self.caller, instance=instance, items=items)})

    def put(self, request: Request, server_id: str) -> Response:
        items = self.body(schemas.ITEMS)["metadata"]
        instance = self.instance(server_id)
        return Response({"metadata": services.replace_metadata(caller=self.caller, instance=instance, items=items)})


class MetadataItemView(InstancesView):
    """GET, PUT, DELETE /servers/{id}/metadata/{key}."""

    def get(self, request: Request, server_id: str, key: str) -> Response:
        found = self.instance(server_id).metadata
        if key not in found:
            raise MetadataKeyNotFound(f"Metadata item {key[:80]!r} was not found", key=key[:80])
        return Response({"meta": {key: found[key]}})

    def put(self, request: Request, server_id: str, key: str) -> Response:
        item = self.body(schemas.ITEM)["meta"]
        if list(item) != [key]:
            raise BadRequest(
                f"Request body and URI mismatch: the body has key {next(iter(item))[:80]!r}, the URL {key[:80]!r}.",
                field="meta",
            )
        services.update_metadata(caller=self.caller, instance=self.instance(server_id), items=item)
        return Response({"meta": item})

    def delete(self, request: Request, server_id: str, key: str) -> Response:
        services.delete_metadata_key(caller=self.caller, instance=self.instance(server_id), key=key)
        return Response(status=204)
