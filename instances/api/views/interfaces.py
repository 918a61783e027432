"""What a server has on networks: addresses, interfaces, security groups. Read only."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

from django.db.models import Prefetch, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from cloud.errors import NotFound
from cloud.networks.models import Port, PortAddress
from cloud.networks.selectors import addresses_of
from instances.api.serializers import interfaces as serializers
from instances.api.serializers.servers import addresses
from instances.api.views.base import InstancesView
from instances.models import Instance
from instances.selectors import instance_key

_GROUPS = UUID("7f0d0e5a-6f5c-4d7c-9f0b-6f2f3d0a51c1")  # security groups have no rows yet: an id is made of the name


class IpsView(InstancesView):
    """GET /servers/{id}/ips and /servers/{id}/ips/{network}."""

    def get(self, request: Request, server_id: str, network: str | None = None) -> Response:
        instance = self.instance(server_id)
        found = addresses(addresses_of([instance.pk]).get(instance.pk, ()), with_mac=False)
        if network is None:
            return Response({"addresses": found})
        if network not in found:
            raise NotFound(f"Instance {instance.pk} is not a member of network {network[:80]!r}.")
        return Response({network: found[network]})


class InterfacesView(InstancesView):
    """GET /servers/{id}/os-interface."""

    def get(self, request: Request, server_id: str) -> Response:
        ports = _ports(self.instance(server_id))
        with_tag = self.version.minor >= 70
        return Response({"interfaceAttachments": [serializers.interface(p, with_tag=with_tag) for p in ports]})


class InterfaceView(InstancesView):
    """GET /servers/{id}/os-interface/{port}."""

    def get(self, request: Request, server_id: str, port_id: str) -> Response:
        instance, key = self.instance(server_id), instance_key(port_id)
        port = _ports(instance).filter(pk=key).first() if key else None
        if port is None:
            raise NotFound(f"Instance {instance.pk} does not have a port with id {port_id[:80]}.")
        shown = serializers.interface(port, with_tag=self.version.minor >= 70)
        return Response({"interfaceAttachment": shown})


class SecurityGroupsView(InstancesView):
    """GET /servers/{id}/os-security-groups: the names that were asked for; none of them has rules yet."""

    def get(self, request: Request, server_id: str) -> Response:
        instance = self.instance(server_id)
        return Response({"security_groups": [_group(name, instance) for name in instance.security_groups]})


def _group(name: str, instance: Instance) -> dict[str, Any]:
    return {
        "id": str(uuid5(_GROUPS, f"{instance.project_id}/{name}")),
        "name": name,
        "description": "",
        "tenant_id": instance.project_id,
        "rules": [],
    }


def _ports(instance: Instance) -> QuerySet[Port]:
    return (
        Port.objects.filter(device_id=str(instance.pk), bound_by__isnull=False)
        .prefetch_related(Prefetch("addresses", PortAddress.objects.order_by("id")))
        .order_by("position", "created_at", "id")
    )
