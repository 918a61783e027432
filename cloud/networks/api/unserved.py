"""What clients ask for beside networks, subnets and ports: versions, extensions, quotas, and what is not served yet.

Routers, floating IPs and security groups of users' own do not exist here; lists say so by being empty, creation by an
error. Each project has one read-only security group, `default`, whose rules say the truth: nothing is filtered.
"""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from cloud.api.policy import Caller
from cloud.api.views import OpenMixin
from cloud.errors import BadRequest, Forbidden, NotFound
from cloud.networks.api.listing import only_fields
from cloud.networks.api.views import NetworkingView
from cloud.networks.models import Network, Port, Subnet

_SINCE = "2026-11-20T00:00:00-00:00"
EXTENSIONS = [
    {"alias": alias, "name": name, "description": description, "updated": _SINCE, "links": []}
    for alias, name, description in (
        ("binding", "Port Binding", "binding:host_id of ports, for admins."),
        ("filter-validation", "Filter parameters validation", "An unknown filter is an error."),
        ("net-mtu", "Network MTU", "mtu of networks."),
        ("pagination", "Pagination support", "limit and marker."),
        ("project-id", "project_id field", "project_id beside tenant_id."),
        ("provider", "Provider Network", "How networks are carried, for admins."),
        ("quotas", "Quota management support", "Quotas, read-only."),
        ("security-group", "security-group", "One read-only group per project; nothing is filtered."),
        ("sorting", "Sorting support", "sort_key and sort_dir."),
        ("standard-attr-description", "standard-attr-description", "description of resources."),
        ("standard-attr-timestamp", "Resource timestamps", "created_at and updated_at."),
    )
]
_UNSERVED = {
    "floatingips": "Floating IPs are",
    "routers": "Routers are",
    "security-groups": "Security groups of your own are",
    "security-group-rules": "Security group rules of your own are",
}


class Versions(OpenMixin, NetworkingView):
    """`/networking`: open to all."""

    def get(self, request: Request) -> Response:
        href = request.build_absolute_uri("/networking/v2.0/")
        return Response({"versions": [{"id": "v2.0", "status": "CURRENT", "links": [{"rel": "self", "href": href}]}]})


class Resources(OpenMixin, NetworkingView):
    """`/v2.0`: which collections there are."""

    def get(self, request: Request) -> Response:
        root = request.build_absolute_uri("/networking/v2.0/")
        return Response(
            {
                "resources": [
                    {"name": name, "collection": name + "s", "links": [{"rel": "self", "href": f"{root}{name}s"}]}
                    for name in ("network", "subnet", "port")
                ]
            }
        )


class Extensions(NetworkingView):
    """`/v2.0/extensions`"""

    def get(self, request: Request) -> Response:
        return Response({"extensions": EXTENSIONS})


class OneExtension(NetworkingView):
    """`/v2.0/extensions/{alias}`"""

    def get(self, request: Request, alias: str) -> Response:
        for extension in EXTENSIONS:
            if extension["alias"] == alias:
                return Response({"extension": extension})
        raise NotFound(f"Extension with alias {alias[:80]} does not exist")


class Empty(NetworkingView):
    """A collection that has nothing in it and takes nothing: floating IPs, routers."""

    plural: ClassVar[str] = ""

    def get(self, request: Request) -> Response:
        return Response({self.plural: []})

    def post(self, request: Request) -> Response:
        raise _refusal(self.plural)


class NoneSuch(NetworkingView):
    """One of a collection that has nothing in it."""

    plural: ClassVar[str] = ""

    def get(self, request: Request, item_id: str) -> Response:
        raise NotFound(f"{item_id[:80]} could not be found: there are no {self.plural}.")

    put = delete = get


def _refusal(plural: str) -> BadRequest:
    return BadRequest(f"{_UNSERVED[plural]} not served by this cloud.")


# --- the one security group -------------------------------------------------------------------------------------------

_GROUPS = uuid.UUID("5d1c4c7e-6a3c-4c55-9d43-0b0a3d4f7a11")  # a namespace: a project's group keeps its id


def default_group(project_id: str) -> dict[str, Any]:
    """The group `default` of a project: everything may come in and go out."""
    group_id = str(uuid.uuid5(_GROUPS, project_id))
    rules = [
        {
            "id": str(uuid.uuid5(_GROUPS, f"{project_id} {direction}")),
            "security_group_id": group_id,
            "tenant_id": project_id,
            "project_id": project_id,
            "direction": direction,
            "ethertype": "IPv4",
            "protocol": None,
            "port_range_min": None,
            "port_range_max": None,
            "remote_ip_prefix": None,
            "remote_group_id": None,
            "description": "Nothing is filtered.",
        }
        for direction in ("ingress", "egress")
    ]
    return {
        "id": group_id,
        "name": "default",
        "description": "Default security group: nothing is filtered.",
        "tenant_id": project_id,
        "project_id": project_id,
        "stateful": True,
        "shared": False,
        "tags": [],
        "security_group_rules": rules,
    }


def _group_of(caller: Caller) -> list[dict[str, Any]]:
    return [default_group(caller.project_id)] if caller.project_id else []


def _matching(request: Request, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for name, values in request.query_params.lists():
        if name not in ("fields", "limit", "marker", "sort_key", "sort_dir"):
            rows = [row for row in rows if str(row.get(name)) in values]
    return only_fields(rows, request.query_params.getlist("fields"))


class SecurityGroups(NetworkingView):
    """`/v2.0/security-groups`"""

    def get(self, request: Request) -> Response:
        return Response({"security_groups": _matching(request, _group_of(self.caller))})

    def post(self, request: Request) -> Response:
        raise _refusal("security-groups")


class OneSecurityGroup(NetworkingView):
    """`/v2.0/security-groups/{id}`"""

    def get(self, request: Request, group_id: str) -> Response:
        for group in _group_of(self.caller):
            if group["id"] == group_id:
                return Response({"security_group": group})
        raise NotFound(f"Security group {group_id[:80]} does not exist")

    def put(self, request: Request, group_id: str) -> Response:
        self.get(request, group_id)
        raise _refusal("security-groups")

    delete = put


class SecurityGroupRules(NetworkingView):
    """`/v2.0/security-group-rules`"""

    def get(self, request: Request) -> Response:
        rules = [rule for group in _group_of(self.caller) for rule in group["security_group_rules"]]
        return Response({"security_group_rules": _matching(request, rules)})

    def post(self, request: Request) -> Response:
        raise _refusal("security-group-rules")


# --- quotas -----------------------------------------------------------------------------------------------------------

UNLIMITED, UNSERVED = -1, 0
QUOTAS = {
    "network": UNLIMITED,
    "subnet": UNLIMITED,
    "port": UNLIMITED,
    "subnetpool": UNSERVED,
    "floatingip": UNSERVED,
    "router": UNSERVED,
    "rbac_policy": UNSERVED,
    "security_group": UNSERVED,
    "security_group_rule": UNSERVED,
}


class Quotas(NetworkingView):
    """`/v2.0/quotas/{project}` and `/default`: this room sets no limits yet."""

    def get(self, request: Request, project_id: str) -> Response:
        _check_project(self.caller, project_id)
        return Response({"quota": QUOTAS})

    def put(self, request: Request, project_id: str) -> Response:
        raise BadRequest("Quotas of networks are not served by this cloud: there are no limits to set.")

    def delete(self, request: Request, project_id: str) -> Response:
        """Back to the defaults, which is where they are."""
        if not self.caller.is_admin:
            raise Forbidden("Policy does not allow deleting a quota: the role 'admin' is needed.")
        return Response(status=204)


class QuotaDetails(NetworkingView):
    """`/v2.0/quotas/{project}/details.json`: limits with what is used."""

    def get(self, request: Request, project_id: str) -> Response:
        _check_project(self.caller, project_id)
        used = {
            "network": Network.objects.filter(project_id=project_id).count(),
            "subnet": Subnet.objects.filter(project_id=project_id).count(),
            "port": Port.objects.filter(project_id=project_id).count(),
        }
        details = {name: {"limit": limit, "used": used.get(name, 0), "reserved": 0} for name, limit in QUOTAS.items()}
        return Response({"quota": details})


def _check_project(caller: Caller, project_id: str) -> None:
    if not caller.is_admin and project_id != caller.project_id:
        raise Forbidden("Policy does not allow reading the quota of another project.")
