"""Rows as the wire shows them, and the filters and sort keys that follow from it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cloud.networks.api import listing
from cloud.networks.models import Network, Port, Subnet


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def show_network(network: Network) -> dict[str, Any]:
    """A network as its users see it."""
    return {
        "id": str(network.id),
        "name": network.name,
        "description": network.description,
        "tenant_id": network.project_id,
        "project_id": network.project_id,
        "admin_state_up": network.is_admin_state_up,
        "status": "ACTIVE",
        "shared": network.is_shared,
        "mtu": network.mtu,
        "subnets": [str(subnet.id) for subnet in network.subnets.all()],
        "router:external": False,
        "tags": [],
        "created_at": _time(network.created_at),
        "updated_at": _time(network.updated_at),
    }


def show_network_to_admin(network: Network) -> dict[str, Any]:
    """A network with what admins see besides: how it is carried (`nat` or `isolated`), and its VXLAN number."""
    return {
        **show_network(network),
        "provider:network_type": network.mode,
        "provider:physical_network": None,
        "provider:segmentation_id": network.vni,
    }


def show_subnet(subnet: Subnet) -> dict[str, Any]:
    """A subnet."""
    return {
        "id": str(subnet.id),
        "name": subnet.name,
        "description": subnet.description,
        "tenant_id": subnet.project_id,
        "project_id": subnet.project_id,
        "network_id": str(subnet.network_id),
        "ip_version": subnet.ip_version,
        "cidr": subnet.cidr,
        "gateway_ip": subnet.gateway_ip,
        "enable_dhcp": subnet.enable_dhcp,
        "dns_nameservers": subnet.dns_nameservers,
        "allocation_pools": subnet.allocation_pools,
        "host_routes": [],
        "ipv6_ra_mode": None,
        "ipv6_address_mode": None,
        "subnetpool_id": None,
        "tags": [],
        "created_at": _time(subnet.created_at),
        "updated_at": _time(subnet.updated_at),
    }


def show_port(port: Port) -> dict[str, Any]:
    """A port as its users see it."""
    return {
        "id": str(port.id),
        "name": port.name,
        "description": port.description,
        "tenant_id": port.project_id,
        "project_id": port.project_id,
        "network_id": str(port.network_id),
        "mac_address": port.mac,
        "admin_state_up": port.is_admin_state_up,
        "status": port.status,
        "device_id": port.device_id,
        "device_owner": port.device_owner,
        "fixed_ips": [{"subnet_id": str(a.subnet_id), "ip_address": a.ip} for a in port.addresses.all()],
        "security_groups": [],
        "allowed_address_pairs": [],
        "extra_dhcp_opts": [],
        "port_security_enabled": False,
        "binding:vnic_type": "normal",
        "tags": [],
        "created_at": _time(port.created_at),
        "updated_at": _time(port.updated_at),
    }


def show_port_to_admin(port: Port) -> dict[str, Any]:
    """A port with what admins see besides: where it is plugged."""
    return {
        **show_port(port),
        "binding:host_id": port.binding_host,
        "binding:profile": {"migrating_to": port.moving_to} if port.moving_to else {},
        "binding:vif_type": "bridge" if port.binding_host else "unbound",
        "binding:vif_details": {},
    }


_COMMON = {
    "id": listing.uuid("id"),
    "name": listing.text("name"),
    "description": listing.text("description"),
    "tenant_id": listing.text("project_id"),
    "project_id": listing.text("project_id"),
}
_SORT = {"id": "id", "name": "name", "tenant_id": "project_id", "project_id": "project_id", "created_at": "created_at"}

_NETWORK_FILTERS = {
    **_COMMON,
    "admin_state_up": listing.flag("is_admin_state_up", "admin_state_up"),
    "shared": listing.flag("is_shared", "shared"),
    "mtu": listing.integer("mtu", "mtu"),
    "status": listing.constant("active"),
    "router:external": listing.constant_flag(False, "router:external"),
    "is_default": listing.constant_flag(False, "is_default"),
}
NETWORKS = listing.Listing(
    "networks",
    _NETWORK_FILTERS,
    {**_SORT, "admin_state_up": "is_admin_state_up", "shared": "is_shared", "mtu": "mtu"},
    show_network,
)
NETWORKS_FOR_ADMIN = listing.Listing(
    "networks",
    {
        **_NETWORK_FILTERS,
        "provider:network_type": listing.text("mode"),
        "provider:segmentation_id": listing.integer("vni", "provider:segmentation_id"),
    },
    NETWORKS.sortable,
    show_network_to_admin,
)
SUBNETS = listing.Listing(
    "subnets",
    {
        **_COMMON,
        "network_id": listing.uuid("network_id"),
        "ip_version": listing.integer("ip_version", "ip_version"),
        "cidr": listing.text("cidr"),
        "gateway_ip": listing.address("gateway_ip"),
        "enable_dhcp": listing.flag("enable_dhcp", "enable_dhcp"),
        "shared": listing.flag("network__is_shared", "shared"),
    },
    {**_SORT, "network_id": "network_id", "cidr": "cidr", "enable_dhcp": "enable_dhcp", "ip_version": "ip_version"},
    show_subnet,
)
_PORT_FILTERS = {
    **_COMMON,
    "network_id": listing.uuid("network_id"),
    "mac_address": listing.text("mac"),
    "admin_state_up": listing.flag("is_admin_state_up", "admin_state_up"),
    "status": listing.text("status"),
    "device_id": listing.text("device_id"),
    "device_owner": listing.text("device_owner"),
    "fixed_ips": listing.fixed_ips,
}
PORTS = listing.Listing(
    "ports",
    _PORT_FILTERS,
    {
        **_SORT,
        "network_id": "network_id",
        "mac_address": "mac",
        "admin_state_up": "is_admin_state_up",
        "status": "status",
        "device_id": "device_id",
        "device_owner": "device_owner",
    },
    show_port,
)
PORTS_FOR_ADMIN = listing.Listing(
    "ports",
    {**_PORT_FILTERS, "binding:host_id": listing.text("binding_host")},
    PORTS.sortable,
    show_port_to_admin,
)
