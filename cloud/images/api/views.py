"""Images on the wire: their rows, tags and members. Their bytes are in `file_view.py`."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from rest_framework.request import Request
from rest_framework.response import Response

from cloud.api import paging
from cloud.api.schemas import validate
from cloud.api.views import JsonParser, OpenMixin, WireView
from cloud.errors import NotFound
from cloud.images import selectors, services
from cloud.images.api import filters, schemas, serializers
from cloud.images.models import ImageMember


class PatchParser20(JsonParser):
    """The older form of patches."""

    media_type = "application/openstack-images-v2.0-json-patch"


class PatchParser21(JsonParser):
    """The newer form of patches."""

    media_type = "application/openstack-images-v2.1-json-patch"


class ImageView(WireView):
    """A resource of the image service."""

    service = "image"


class VersionsView(OpenMixin, ImageView):
    """GET /image and /image/v2: the versions there are."""

    def get(self, request: Request) -> Response:
        return Response(serializers.versions(), status=300)


class ImagesView(ImageView):
    """GET, POST /v2/images."""

    def get(self, request: Request) -> Response:
        query = schemas.query_of(request.query_params)
        images = selectors.listed_images(
            self.caller,
            visibility=filters.visibility_of(query),
            member_status=filters.member_status_of(query),
        )
        images = filters.filtered(images, query, request.query_params)
        rows, limit = paging.page(images, query, filters.order(query, request.query_params))
        found = list(rows)
        body: dict[str, Any] = {
            "images": [serializers.image(row) for row in found[:limit]],
            "first": _address({**request.query_params.dict(), "marker": ""}),
            "schema": "/v2/schemas/images",
        }
        if len(found) > limit > 0:
            body["next"] = _address({**request.query_params.dict(), "marker": str(found[limit - 1].pk)})
        return Response(body)

    def post(self, request: Request) -> Response:
        fields, properties = schemas.create_fields(request.data)
        row = services.create_image(caller=self.caller, fields=fields, properties=properties)
        body = serializers.image(row)
        return Response(body, status=201, headers={"Location": request.build_absolute_uri(f"/image{body['self']}")})


def _address(query: dict[str, str]) -> str:
    """The list's address for a query, relative as glance's are."""
    given = {name: value for name, value in query.items() if value != "" or name != "marker"}
    return f"/v2/images?{urlencode(given)}" if given else "/v2/images"


class OneImageView(ImageView):
    """GET, PATCH, DELETE /v2/images/{id}."""

    parser_classes = (PatchParser21, PatchParser20)

    def get(self, request: Request, image_id: str) -> Response:
        return Response(serializers.image(selectors.image(self.caller, image_id)))

    def patch(self, request: Request, image_id: str) -> Response:
        selectors.changeable_image(self.caller, image_id)
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        read = schemas.patch_2_0 if media_type == PatchParser20.media_type else schemas.patch_2_1
        changes = read(request.data)
        return Response(
            serializers.image(services.update_image(caller=self.caller, image_id=image_id, changes=changes))
        )

    def delete(self, request: Request, image_id: str) -> Response:
        services.delete_image(caller=self.caller, image_id=image_id)
        return Response(status=204)


class TasksView(ImageView):
    """GET /v2/images/{id}/tasks: imports, of which there are none."""

    def get(self, request: Request, image_id: str) -> Response:
        selectors.image(self.caller, image_id)
        return Response({"tasks": []})


class TagView(ImageView):
    """PUT, DELETE /v2/images/{id}/tags/{tag}."""

    def put(self, request: Request, image_id: str, tag: str) -> Response:
        services.add_tag(caller=self.caller, image_id=image_id, tag=schemas.tag_of(tag))
        return Response(status=204)

    def delete(self, request: Request, image_id: str, tag: str) -> Response:
        services.remove_tag(caller=self.caller, image_id=image_id, tag=schemas.tag_of(tag))
        return Response(status=204)


class MembersView(ImageView):
    """GET, POST /v2/images/{id}/members."""

    def get(self, request: Request, image_id: str) -> Response:
        rows = selectors.members_of(self.caller, selectors.image(self.caller, image_id))
        return Response({"members": [serializers.member(row) for row in rows], "schema": "/v2/schemas/members"})

    def post(self, request: Request, image_id: str) -> Response:
        project_id = validate(schemas.ADD_MEMBER, request.data)["member"]
        row = services.add_member(caller=self.caller, image_id=image_id, project_id=project_id)
        return Response(serializers.member(row))


class MemberView(ImageView):
    """GET, PUT, DELETE /v2/images/{id}/members/{project}."""

    def get(self, request: Request, image_id: str, member_id: str) -> Response:
        rows = selectors.members_of(self.caller, selectors.image(self.caller, image_id))
        row: ImageMember | None = rows.filter(project_id=member_id).first()
        if row is None:
            raise services.NoSuchMember(f"The image is not shared with project {member_id[:80]!r}.")
        return Response(serializers.member(row))

    def put(self, request: Request, image_id: str, member_id: str) -> Response:
        status = validate(schemas.SET_MEMBER, request.data)["status"]
        row = services.set_member_status(caller=self.caller, image_id=image_id, project_id=member_id, status=status)
        return Response(serializers.member(row))

    def delete(self, request: Request, image_id: str, member_id: str) -> Response:
        services.remove_member(caller=self.caller, image_id=image_id, project_id=member_id)
        return Response(status=204)


class SchemaView(ImageView):
    """GET /v2/schemas/{name}."""

    def get(self, request: Request, name: str) -> Response:
        body = serializers.json_schema(name)
        if body is None:
            raise NotFound(f"No such schema: {name[:80]!r}.")
        return Response(body)
