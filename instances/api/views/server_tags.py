"""A server's tags, from 2.26 on."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from cloud.api.microversions import served
from cloud.api.schemas import validate
from instances import services
from instances.api.links import self_url
from instances.api.schemas import server_tags as schemas
from instances.api.views.base import InstancesView
from instances.services.update import TagNotFound


class TagsView(InstancesView):
    """GET, PUT, DELETE /servers/{id}/tags."""

    @served("2.26")
    def get(self, request: Request, server_id: str) -> Response:
        return Response({"tags": self.instance(server_id).tags})

    @served("2.26")
    def put(self, request: Request, server_id: str) -> Response:
        tags = self.body(schemas.TAGS)["tags"]
        instance = self.instance(server_id)
        return Response({"tags": services.replace_tags(caller=self.caller, instance=instance, tags=tags)})

    @served("2.26")
    def delete(self, request: Request, server_id: str) -> Response:
        services.replace_tags(caller=self.caller, instance=self.instance(server_id), tags=[])
        return Response(status=204)


class TagView(InstancesView):
    """GET, PUT, DELETE /servers/{id}/tags/{tag}: is it there, add it, take it off."""

    @served("2.26")
    def get(self, request: Request, server_id: str, tag: str) -> Response:
        instance = self.instance(server_id)
        if tag not in instance.tags:
            raise TagNotFound(f"Instance {instance.pk} has no tag '{tag[:80]}'", tag=tag[:80])
        return Response(status=204)

    @served("2.26")
    def put(self, request: Request, server_id: str, tag: str) -> Response:
        validate(schemas.ONE, tag)
        instance = self.instance(server_id)
        if not services.add_tag(caller=self.caller, instance=instance, tag=tag):
            return Response(status=204)
        response = Response(status=201)
        response["Location"] = self_url(f"servers/{instance.pk}/tags/{tag}")
        return response

    @served("2.26")
    def delete(self, request: Request, server_id: str, tag: str) -> Response:
        services.remove_tag(caller=self.caller, instance=self.instance(server_id), tag=tag)
        return Response(status=204)
