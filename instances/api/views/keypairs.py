"""Key pairs of a user; from 2.10 on an admin may name another user."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from cloud.api.paging import limit_of
from cloud.errors import BadRequest
from instances.api.links import next_links
from instances.api.schemas import keypairs as schemas
from instances.api.serializers import keypairs as serializers
from instances.api.views.base import InstancesView
from instances.models import KeyPair, KeyType
from instances.selectors import keypair_for
from instances.services import keypairs as services


class _KeyPairsView(InstancesView):
    def owner(self) -> str:
        """Whose key pairs the query means."""
        named = self.request.query_params.get("user_id") if self.version.minor >= 10 else None
        return services.own_or_admin(self.caller, named)


class KeyPairsView(_KeyPairsView):
    """GET, POST /os-keypairs. Paged from 2.35 on, by name."""

    def get(self, request: Request) -> Response:
        owner, query = self.owner(), request.query_params
        rows = KeyPair.objects.filter(user_id=owner).order_by("name")
        if self.version.minor < 35:
            return Response({"keypairs": [serializers.in_list(row, self.version) for row in rows]})
        limit, marker = limit_of(query), query.get("marker")
        if marker:
            if not rows.filter(name=marker).exists():
                raise BadRequest(f"marker [{marker[:80]}] not found", field="marker")
            rows = rows.filter(name__gt=marker)
        found = list(rows[: limit + 1])
        reply: dict[str, Any] = {"keypairs": [serializers.in_list(row, self.version) for row in found[:limit]]}
        if len(found) > limit > 0:
            reply["keypairs_links"] = next_links(request, found[limit - 1].name, limit)
        return Response(reply)

    def post(self, request: Request) -> Response:
        body = self.body(schemas.create(self.version))["keypair"]
        made = services.create_keypair(
            caller=self.caller,
            name=body["name"],
            key_type=body.get("type", KeyType.SSH),
            public_key=body.get("public_key"),
            user_id=body.get("user_id"),
        )
        status = 201 if self.version.minor >= 2 else 200
        return Response(serializers.created(made.row, made.private_key, self.version), status=status)


class KeyPairView(_KeyPairsView):
    """GET, DELETE /os-keypairs/{name}."""

    def get(self, request: Request, name: str) -> Response:
        return Response(serializers.keypair(keypair_for(self.owner(), name), self.version))

    def delete(self, request: Request, name: str) -> Response:
        services.delete_keypair(keypair=keypair_for(self.owner(), name))
        return Response(status=204 if self.version.minor >= 2 else 202)
