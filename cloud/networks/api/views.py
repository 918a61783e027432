"""The views of networks, subnets and ports. What is not served for creation is in `unserved.py`."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from cloud.api.policy import Caller, require_admin, require_member, require_project
from cloud.api.schemas import boolean, validate
from cloud.api.views import WireView
from cloud.errors import Forbidden
from cloud.networks import selectors, services
from cloud.networks.api import schemas, serializers
from cloud.networks.api.listing import only_fields
from cloud.networks.models import Network, NetworkMode, Port, Subnet


class NetworkingView(WireView):
    """A resource of the network service."""

    service = "network"

    def owner_of(self, wanted: dict[str, Any], what: str) -> str:
        """The project that a new thing belongs to: the caller's, or the one that an admin names."""
        require_member(self.caller, f"creating {what}")
        named = wanted.get("project_id", wanted.get("tenant_id"))
        if named is None or named == self.caller.project_id:
            return require_project(self.caller, f"creating {what}")
        require_admin(self.caller, f"creating {what} for another project")
        return str(named)

    def one(self, request: Request, name: str, shown: dict[str, Any], status: int = 200) -> Response:
        """The reply with one resource, cut down to the query's `fields`."""
        return Response({name: only_fields([shown], request.query_params.getlist("fields"))[0]}, status=status)


def _may_change(caller: Caller, row: Network | Subnet | Port, what: str) -> None:
    """Forbidden unless the row is the caller's project's: what is shared is seen by all and changed by its owner."""
    require_member(caller, what)
    if not caller.is_admin and row.project_id != caller.project_id:
        raise Forbidden(f"Policy does not allow {what}: it belongs to another project.")


def _renamed(wanted: dict[str, Any], columns: dict[str, str], flags: frozenset[str]) -> dict[str, Any]:
    return {
        column: boolean(wanted[name]) if name in flags else wanted[name]
        for name, column in columns.items()
        if name in wanted
    }


def _network_fields(wanted: dict[str, Any]) -> dict[str, Any]:
    fields = _renamed(wanted, _NETWORK, _NETWORK_FLAGS)
    return {**fields, "mtu": int(fields["mtu"])} if "mtu" in fields else fields


# --- networks ---------------------------------------------------------------------------------------------------------

_NETWORK = {
    "name": "name",
    "description": "description",
    "admin_state_up": "is_admin_state_up",
    "shared": "is_shared",
    "mtu": "mtu",
}
_NETWORK_FLAGS = frozenset({"admin_state_up", "shared"})


class Networks(NetworkingView):
    """`/v2.0/networks`"""

    def get(self, request: Request) -> Response:
        listing = serializers.NETWORKS_FOR_ADMIN if self.caller.is_admin else serializers.NETWORKS
        return Response(listing.answer(request, selectors.networks_for(self.caller)))

    def post(self, request: Request) -> Response:
        wanted = validate(schemas.CREATE_NETWORK, request.data)["network"]
        project_id = self.owner_of(wanted, "a network")
        fields = _network_fields(wanted)
        if fields.get("is_shared"):
            require_admin(self.caller, "creating a shared network")
        if "provider:network_type" in wanted:
            require_admin(self.caller, "choosing provider:network_type")
            fields["mode"] = NetworkMode(wanted["provider:network_type"])
        network = services.create_network(project_id=project_id, **fields)
        return self.one(request, "network", _shown_network(self.caller, network), 201)


class OneNetwork(NetworkingView):
    """`/v2.0/networks/{id}`"""

    def get(self, request: Request, network_id: str) -> Response:
        return self.one(request, "network", _shown_network(self.caller, selectors.network_for(self.caller, network_id)))

    def put(self, request: Request, network_id: str) -> Response:
        network = selectors.network_for(self.caller, network_id)
        _may_change(self.caller, network, f"changing network {network_id}")
        changes = _network_fields(validate(schemas.UPDATE_NETWORK, request.data)["network"])
        if changes.get("is_shared") and not network.is_shared:
            require_admin(self.caller, "sharing a network")
        services.update_network(network_id=network.id, changes=changes)
        return self.get(request, network_id)

    def delete(self, request: Request, network_id: str) -> Response:
        network = selectors.network_for(self.caller, network_id)
        _may_change(self.caller, network, f"deleting network {network_id}")
        services.delete_network(network_id=network.id)
        return Response(status=204)


def _shown_network(caller: Caller, network: Network) -> dict[str, Any]:
    show = serializers.show_network_to_admin if caller.is_admin else serializers.show_network
    return show(network)


# --- subnets ----------------------------------------------------------------------------------------------------------

_SUBNET = {
    name: name for name in ("name", "description", "gateway_ip", "enable_dhcp", "dns_nameservers", "allocation_pools")
}
_SUBNET_FLAGS = frozenset({"enable_dhcp"})


class Subnets(NetworkingView):
    """`/v2.0/subnets`"""

    def get(self, request: Request) -> Response:
        return Response(serializers.SUBNETS.answer(request, selectors.subnets_for(self.caller)))

    def post(self, request: Request) -> Response:
        wanted = validate(schemas.CREATE_SUBNET, request.data)["subnet"]
        project_id = self.owner_of(wanted, "a subnet")
        network = selectors.network_for(self.caller, wanted["network_id"])
        _may_change(self.caller, network, f"creating a subnet on network {network.id}")
        subnet = services.create_subnet(
            network_id=network.id,
            project_id=project_id,
            cidr=wanted["cidr"],
            **_renamed(wanted, _SUBNET, _SUBNET_FLAGS),
        )
        return self.one(request, "subnet", serializers.show_subnet(subnet), 201)


class OneSubnet(NetworkingView):
    """`/v2.0/subnets/{id}`"""

    def get(self, request: Request, subnet_id: str) -> Response:
        return self.one(request, "subnet", serializers.show_subnet(selectors.subnet_for(self.caller, subnet_id)))

    def put(self, request: Request, subnet_id: str) -> Response:
        subnet = selectors.subnet_for(self.caller, subnet_id)
        _may_change(self.caller, subnet, f"changing subnet {subnet_id}")
        changes = _renamed(validate(schemas.UPDATE_SUBNET, request.data)["subnet"], _SUBNET, _SUBNET_FLAGS)
        services.update_subnet(subnet_id=subnet.id, changes=changes)
        return self.get(request, subnet_id)

    def delete(self, request: Request, subnet_id: str) -> Response:
        subnet = selectors.subnet_for(self.caller, subnet_id)
        _may_change(self.caller, subnet, f"deleting subnet {subnet_id}")
        services.delete_subnet(subnet_id=subnet.id)
        return Response(status=204)


# --- ports ------------------------------------------------------------------------------------------------------------

_PORT = {
    "name": "name",
    "description": "description",
    "admin_state_up": "is_admin_state_up",
    "mac_address": "mac",
    "device_id": "device_id",
    "device_owner": "device_owner",
}
_PORT_FLAGS = frozenset({"admin_state_up"})


class Ports(NetworkingView):
    """`/v2.0/ports`"""

    def get(self, request: Request) -> Response:
        listing = serializers.PORTS_FOR_ADMIN if self.caller.is_admin else serializers.PORTS
        return Response(listing.answer(request, selectors.ports_for(self.caller)))

    def post(self, request: Request) -> Response:
        wanted = validate(schemas.CREATE_PORT, request.data)["port"]
        project_id = self.owner_of(wanted, "a port")
        network = selectors.network_for(self.caller, wanted["network_id"])
        port = services.create_port(
            network_id=network.id,
            project_id=project_id,
            fixed_ips=wanted.get("fixed_ips"),
            **_renamed(wanted, _PORT, _PORT_FLAGS),
        )
        return self.one(request, "port", _shown_port(self.caller, port), 201)


class OnePort(NetworkingView):
    """`/v2.0/ports/{id}`"""

    def get(self, request: Request, port_id: str) -> Response:
        return self.one(request, "port", _shown_port(self.caller, selectors.port_for(self.caller, port_id)))

    def put(self, request: Request, port_id: str) -> Response:
        port = selectors.port_for(self.caller, port_id)
        _may_change(self.caller, port, f"changing port {port_id}")
        wanted = validate(schemas.UPDATE_PORT, request.data)["port"]
        changes = _renamed(wanted, _PORT, _PORT_FLAGS)
        if "mac" in changes:
            changes["mac"] = changes["mac"].lower()
        services.update_port(port_id=port.id, changes=changes, fixed_ips=wanted.get("fixed_ips"))
        return self.get(request, port_id)

    def delete(self, request: Request, port_id: str) -> Response:
        port = selectors.port_for(self.caller, port_id)
        _may_change(self.caller, port, f"deleting port {port_id}")
        services.delete_port(port_id=port.id)
        return Response(status=204)


def _shown_port(caller: Caller, port: Port) -> dict[str, Any]:
    return serializers.show_port_to_admin(port) if caller.is_admin else serializers.show_port(port)
