"""Reads: what a caller may see, and what an instance's ports are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet

from cloud.api.policy import Caller
from cloud.errors import NotFound
from cloud.networks.models import Network, NetworkHost, Port, PortAddress, Subnet
from cloud.networks.requests import PortRequest, resolve_requested
from hypervisor.spec import NetworkSpec, NicSpec, ReachSpec

__all__ = [
    "Address",
    "PortRequest",
    "addresses_of",
    "network_spec",
    "networks_for",
    "nic_specs",
    "port_for",
    "ports_for",
    "reach_spec",
    "resolve_requested",
    "subnets_for",
]


@dataclass(frozen=True, slots=True)
class Address:
    """One address of an instance, as the API shows it."""

    network_name: str
    ip: str
    version: int
    mac: str
    type: str = "fixed"


# --- for the API ------------------------------------------------------------------------------------------------------


def networks_for(caller: Caller) -> QuerySet[Network]:
    """The networks that the caller may see: all for an admin, else its project's and the shared ones."""
    rows = Network.objects.prefetch_related(Prefetch("subnets", Subnet.objects.order_by("created_at", "id")))
    if caller.is_admin:
        return rows
    return rows.filter(Q(project_id=caller.project_id or "") | Q(is_shared=True))


def subnets_for(caller: Caller) -> QuerySet[Subnet]:
    """The subnets of networks that the caller may see."""
    rows = Subnet.objects.select_related("network")
    if caller.is_admin:
        return rows
    return rows.filter(Q(project_id=caller.project_id or "") | Q(network__is_shared=True))


def ports_for(caller: Caller) -> QuerySet[Port]:
    """The ports that the caller may see: all for an admin, else its project's."""
    rows = Port.objects.prefetch_related(Prefetch("addresses", PortAddress.objects.order_by("id")))
    return rows if caller.is_admin else rows.filter(project_id=caller.project_id or "")


def network_for(caller: Caller, network_id: str) -> Network:
    """One network that the caller may see, or NotFound."""
    network = networks_for(caller).filter(pk=as_uuid(network_id, "Network")).first()
    if network is None:
        raise NotFound(f"Network {network_id} could not be found.")
    return network


def subnet_for(caller: Caller, subnet_id: str) -> Subnet:
    """One subnet that the caller may see, or NotFound."""
    subnet = subnets_for(caller).filter(pk=as_uuid(subnet_id, "Subnet")).first()
    if subnet is None:
        raise NotFound(f"Subnet {subnet_id} could not be found.")
    return subnet


def port_for(caller: Caller, port_id: str) -> Port:
    """One port that the caller may see, or NotFound."""
    port = ports_for(caller).filter(pk=as_uuid(port_id, "Port")).first()
    if port is None:
        raise NotFound(f"Port {port_id} could not be found.")
    return port


def as_uuid(text: str, what: str) -> UUID:
    """An id from a URL. NotFound for what is none: clients ask for `/networks/{name}` first, and read on at 404."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(f"{what} {text[:80]} could not be found.")


# --- for instances ----------------------------------------------------------------------------------------------------


def nic_specs(instance_id: UUID) -> tuple[NicSpec, ...]:
    """The instance's interfaces in their order, as a host is told about them. Two queries."""
    ports = (
        Port.objects.filter(device_id=str(instance_id), bound_by__isnull=False)
        .order_by("position", "created_at", "id")
        .select_related("network")
        .prefetch_related(Prefetch("addresses", PortAddress.objects.select_related("subnet").order_by("id")))
    )
    specs = []
    for port in ports:
        for address in list(port.addresses.all())[:1]:
            network = address.subnet.plan.network
            specs.append(
                NicSpec(
                    port_id=str(port.id),
                    mac=port.mac,
                    ip=address.ip,
                    prefix=network.prefixlen,
                    network=network_spec(port.network, address.subnet),
                )
            )
    return tuple(specs)


def network_spec(network: Network, subnet: Subnet | None = None) -> NetworkSpec:
    """The network as a host builds it, with the addressing of `subnet` (default: its oldest one).

    NotFound for a network without a subnet: there is nothing to build.
    """
    if subnet is None:
        subnet = network.subnets.order_by("created_at", "id").first()
    if subnet is None:
        raise NotFound(f"Network {network.id} has no subnet.")
    return NetworkSpec(
        id=str(network.id),
        name=network.name,
        bridge=f"kn-{network.id.hex[:12]}",
        mode=network.mode,
        cidr=subnet.cidr,
        gateway_ip=subnet.gateway_ip,
        mtu=network.mtu,
        dns=tuple(subnet.dns_nameservers),
        dhcp=subnet.enable_dhcp,
        vni=network.vni,
    )


def reach_spec(network_id: UUID, host: str) -> ReachSpec | None:
    """What `host` is told of the network's hosts; None when it is none of them, or there is nothing to build."""
    # The version before the hosts: read the other way round, a host that joins in between would count as told of.
    network = Network.objects.filter(pk=network_id).first()
    if network is None or not network.subnets.exists():
        return None
    rows = dict(NetworkHost.objects.filter(network=network).values_list("host", "address"))
    if host not in rows:
        return None
    addresses = tuple(sorted({address for address in rows.values() if address}))
    return ReachSpec(network=network_spec(network), version=network.reach_version, addresses=addresses)


def addresses_of(instance_ids: Collection[UUID]) -> dict[UUID, list[Address]]:
    """The addresses of many instances, in the order of their interfaces; without any, no entry. One query."""
    by_device = {str(instance_id): instance_id for instance_id in instance_ids}
    found: dict[UUID, list[Address]] = {}
    if not by_device:
        return found
    rows = (
        PortAddress.objects.filter(port__device_id__in=list(by_device), port__bound_by__isnull=False)
        .order_by("port__position", "id")
        .values_list("port__device_id", "port__network__name", "ip", "subnet__ip_version", "port__mac")
    )
    for device_id, name, ip, version, mac in rows:
        found.setdefault(by_device[device_id], []).append(Address(name, ip, version, mac))
    return found
