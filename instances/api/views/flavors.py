"""Flavors, their extra specs, and who may use those that are not public."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict
from rest_framework.request import Request
from rest_framework.response import Response

from cloud.api.microversions import served
from cloud.api.paging import after, limit_of
from cloud.api.policy import require_admin
from cloud.api.schemas import boolean
from cloud.errors import BadRequest, NotFound
from instances.api.links import next_links
from instances.api.schemas import flavors as schemas
from instances.api.serializers import flavors as serializers
from instances.api.views.base import InstancesView
from instances.models import Flavor
from instances.selectors import flavor_for, flavors_for, public_or_given
from instances.services import flavors as services

_SORT_KEYS = {
    "created_at": "created_at",
    "disabled": "is_disabled",
    "ephemeral_gb": "ephemeral_gib",
    "flavorid": "flavorid",
    "id": "id",
    "is_public": "is_public",
    "memory_mb": "memory_mib",
    "name": "name",
    "root_gb": "disk_gib",
    "rxtx_factor": "rxtx_factor",
    "swap": "swap_mib",
    "updated_at": "updated_at",
    "vcpus": "vcpus",
}


class FlavorsView(InstancesView):
    """GET, POST /flavors."""

    detail = False

    def get(self, request: Request) -> Response:
        query = request.query_params
        rows, order = self._asked(query), _order(query)
        limit = limit_of(query)
        if query.get("marker"):
            marker = flavors_for(self.caller).filter(flavorid=query["marker"]).first()
            if marker is None:
                raise BadRequest(f"marker [{query['marker'][:80]}] not found", field="marker")
            rows = after(rows, order, marker)
        found = list(rows.order_by(*order)[: limit + 1])
        form = serializers.flavor if self.detail else serializers.basic
        reply: dict[str, Any] = {"flavors": [form(row, self.version) for row in found[:limit]]}
        if len(found) > limit > 0:
            reply["flavors_links"] = next_links(request, found[limit - 1].flavorid, limit)
        return Response(reply)

    def post(self, request: Request) -> Response:
        require_admin(self.caller, "creating flavors")
        body = self.body(schemas.create(self.version))["flavor"]
        flavorid = body.get("id")
        row = services.create_flavor(
            caller=self.caller,
            flavor=services.NewFlavor(
                name=body["name"].strip(),
                flavorid=None if flavorid is None else str(flavorid),
                memory_mib=_number(body, "ram", minimum=1),
                vcpus=_number(body, "vcpus", minimum=1),
                disk_gib=_number(body, "disk"),
                ephemeral_gib=_number(body, "OS-FLV-EXT-DATA:ephemeral"),
                swap_mib=_number(body, "swap"),
                rxtx_factor=float(body.get("rxtx_factor", 1.0)),
                is_public=boolean(body.get("os-flavor-access:is_public", True)),
                description=body.get("description"),
            ),
        )
        return Response({"flavor": serializers.flavor(row, self.version)})

    def _asked(self, query: QueryDict) -> QuerySet[Flavor]:
        rows = flavors_for(self.caller)
        public = query.get("is_public", "")
        if not self.caller.is_admin:
            rows = rows.filter(is_disabled=False)
        elif public.lower() == "none":
            pass  # all there are
        elif public == "" or _is_true(public):
            rows = rows.filter(public_or_given(self.caller))
        else:
            rows = rows.filter(is_public=False)
        for name, field in (("minRam", "memory_mib__gte"), ("minDisk", "disk_gib__gte")):
            if query.get(name):
                rows = rows.filter(**{field: _least(query.get(name, ""), name)})
        return rows


class FlavorsDetailView(FlavorsView):
    """GET /flavors/detail."""

    detail = True
    http_method_names = ["get", "head", "options"]


class FlavorView(InstancesView):
    """GET, PUT, DELETE /flavors/{id}."""

    def get(self, request: Request, flavor_id: str) -> Response:
        return Response({"flavor": serializers.flavor(flavor_for(self.caller, flavor_id), self.version)})

    @served("2.55")
    def put(self, request: Request, flavor_id: str) -> Response:
        require_admin(self.caller, "changing flavors")
        body = self.body(schemas.UPDATE)["flavor"]
        row = flavor_for(self.caller, flavor_id)
        row = services.describe_flavor(caller=self.caller, flavor=row, description=body["description"])
        return Response({"flavor": serializers.flavor(row, self.version)})

    def delete(self, request: Request, flavor_id: str) -> Response:
        require_admin(self.caller, "deleting flavors")
        services.delete_flavor(caller=self.caller, flavor=flavor_for(self.caller, flavor_id))
        return Response(status=202)


class FlavorActionView(InstancesView):
    """POST /flavors/{id}/action: give and take access."""

    def post(self, request: Request, flavor_id: str) -> Response:
        require_admin(self.caller, "changing the access to a flavor")
        body = self.body(schemas.ACTION)
        row = flavor_for(self.caller, flavor_id)
        name, wanted = next(iter(body.items()))
        change = services.add_access if name == "addTenantAccess" else services.remove_access
        change(caller=self.caller, flavor=row, project_id=wanted["tenant"])
        return Response(serializers.access(row))


class FlavorAccessView(InstancesView):
    """GET /flavors/{id}/os-flavor-access."""

    def get(self, request: Request, flavor_id: str) -> Response:
        require_admin(self.caller, "reading the access to a flavor")
        row = flavor_for(self.caller, flavor_id)
        if row.is_public:
            raise NotFound("Access list not available for public flavors.")
        return Response(serializers.access(row))


class ExtraSpecsView(InstancesView):
    """GET, POST /flavors/{id}/os-extra_specs."""

    def get(self, request: Request, flavor_id: str) -> Response:
        return Response({"extra_specs": flavor_for(self.caller, flavor_id).extra_specs})

    def post(self, request: Request, flavor_id: str) -> Response:
        require_admin(self.caller, "changing the extra specs of a flavor")
        specs = {key: str(value) for key, value in self.body(schemas.EXTRA_SPECS)["extra_specs"].items()}
        services.set_extra_specs(caller=self.caller, flavor=flavor_for(self.caller, flavor_id), specs=specs)
        return Response({"extra_specs": specs})


class ExtraSpecView(InstancesView):
    """GET, PUT, DELETE /flavors/{id}/os-extra_specs/{key}."""

    def get(self, request: Request, flavor_id: str, key: str) -> Response:
        row = flavor_for(self.caller, flavor_id)
        if key not in row.extra_specs:
            raise services.no_such_spec(row, key)
        return Response({key: row.extra_specs[key]})

    def put(self, request: Request, flavor_id: str, key: str) -> Response:
        require_admin(self.caller, "changing the extra specs of a flavor")
        body = self.body(schemas.EXTRA_SPEC)
        if list(body) != [key]:
            raise BadRequest(
                f"Request body and URI mismatch: the body has key {next(iter(body))[:80]!r}, the URL {key[:80]!r}."
            )
        specs = {key: str(body[key])}
        services.set_extra_specs(caller=self.caller, flavor=flavor_for(self.caller, flavor_id), specs=specs)
        return Response(specs)

    def delete(self, request: Request, flavor_id: str, key: str) -> Response:
        require_admin(self.caller, "changing the extra specs of a flavor")
        services.delete_extra_spec(caller=self.caller, flavor=flavor_for(self.caller, flavor_id), key=key)
        return Response(status=200)


# --- reading a query and a body ---------------------------------------------------------------------------------------


def _order(query: QueryDict) -> list[str]:
    key, direction = query.get("sort_key", "flavorid"), query.get("sort_dir", "asc")
    if key not in _SORT_KEYS:
        raise BadRequest(
            f"Invalid input for query parameter sort_key. Value: {key[:80]!r}. It is one of {', '.join(_SORT_KEYS)}.",
            field="sort_key",
        )
    if direction not in ("asc", "desc"):
        raise BadRequest(
            f"Invalid input for query parameter sort_dir. Value: {direction[:80]!r}. It is asc or desc.",
            field="sort_dir",
        )
    sign = "-" if direction == "desc" else ""
    return [f"{sign}{_SORT_KEYS[key]}", f"{sign}id"]


def _least(text: str, name: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise BadRequest(f"Invalid {name} filter [{text[:80]}]", field=name)
    return int(text)


def _is_true(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0", "yes", "no", "on", "off", "t", "f"):
        raise BadRequest(f"Invalid is_public filter [{text[:80]}]", field="is_public")
    return boolean(text) or text.lower() == "t"


def _number(body: dict[str, Any], key: str, minimum: int = 0) -> int:
    """A count that may have come as text, whose size the schema does not see."""
    value = int(body.get(key, 0) or 0)
    if not minimum <= value <= schemas.MAX_INT:
        raise BadRequest(
            f"Invalid input for field/attribute {key}. Value: {body[key]!r}. It is {minimum} to {schemas.MAX_INT}.",
            field=key,
        )
    return value
