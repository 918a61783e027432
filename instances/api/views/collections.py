"""Collections that clients read and that are empty until their rooms are built; and what the API calls extensions."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from cloud.api.policy import require_admin
from cloud.errors import NotFound
from instances.api.views.base import InstancesView


class ServerGroupsView(InstancesView):
    """GET /os-server-groups: there are none yet."""

    def get(self, request: Request) -> Response:
        return Response({"server_groups": []})


class ServerGroupView(InstancesView):
    """GET /os-server-groups/{id}."""

    def get(self, request: Request, group_id: str) -> Response:
        raise NotFound(f"Instance group {group_id[:80]} could not be found.")


class AggregatesView(InstancesView):
    """GET /os-aggregates: there are none yet."""

    def get(self, request: Request) -> Response:
        require_admin(self.caller, "listing aggregates")
        return Response({"aggregates": []})


class AggregateView(InstancesView):
    """GET /os-aggregates/{id}."""

    def get(self, request: Request, aggregate_id: str) -> Response:
        require_admin(self.caller, "reading aggregates")
        raise NotFound(f"Aggregate {aggregate_id[:80]} could not be found.")


# alias → name; every one is a part of the API by itself since 2.1, and is listed for old clients alone.
_EXTENSIONS = {
    "os-availability-zone": "AvailabilityZone",
    "os-console-output": "ConsoleOutput",
    "os-flavor-access": "FlavorAccess",
    "os-flavor-extra-specs": "FlavorExtraSpecs",
    "os-flavor-manage": "FlavorManage",
    "os-hypervisors": "Hypervisors",
    "os-instance-actions": "InstanceActions",
    "os-keypairs": "Keypairs",
    "os-migrate-server": "MigrateServer",
    "os-migrations": "Migrations",
    "os-multiple-create": "MultipleCreate",
    "os-quota-class-sets": "QuotaClasses",
    "os-quota-sets": "Quotas",
    "os-scheduler-hints": "SchedulerHints",
    "os-services": "Services",
    "os-user-data": "UserData",
}


class ExtensionsView(InstancesView):
    """GET /extensions and /extensions/{alias}."""

    known: ClassVar[dict[str, str]] = _EXTENSIONS

    def get(self, request: Request, alias: str | None = None) -> Response:
        if alias is None:
            return Response({"extensions": [_extension(each, name) for each, name in self.known.items()]})
        if alias not in self.known:
            raise NotFound(f"Extension {alias[:80]} could not be found.")
        return Response({"extension": _extension(alias, self.known[alias])})


def _extension(alias: str, name: str) -> dict[str, Any]:
    return {
        "alias": alias,
        "name": name,
        "description": f"{name}: a part of the compute API since 2.1.",
        "links": [],
        "namespace": "http://docs.openstack.org/compute/ext/fake_xml",
        "updated": "2014-12-03T00:00:00Z",
    }
