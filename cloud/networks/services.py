"""The verbs of this room. Those of users are here; those of instances are in `binding.py` and named here too.

Every verb is one transaction. A verb that looks whether something is in use locks it first.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from cloud.errors import BadRequest, Conflict, NotFound
from cloud.networks import addressing
from cloud.networks.allocation import Allocator, Choice, FixedIpInUse, FixedIpRefused, NoAddressLeft
from cloud.networks.binding import DEVICE_OWNER, PortTaken, allocate_ports, release_ports, write_ports
from cloud.networks.models import Network, NetworkMode, Port, PortAddress, Subnet

__all__ = [
    "FixedIpInUse",
    "FixedIpRefused",
    "NoAddressLeft",
    "PortTaken",
    "allocate_ports",
    "create_network",
    "create_port",
    "create_subnet",
    "delete_network",
    "delete_port",
    "delete_subnet",
    "release_ports",
    "update_network",
    "update_port",
    "update_subnet",
]


class InUse(Conflict):
    """Ports are on it."""

    code = "network.in_use"


class MacInUse(Conflict):
    """Another port of the network has this MAC."""

    code = "network.mac_in_use"


class RangeTaken(Conflict):
    """The range overlaps that of another network."""

    code = "network.range_taken"


class SecondSubnet(Conflict):
    """Hosts serve one range on a network so far: what they build knows one gateway and one set of addresses."""

    code = "network.second_subnet"


# --- networks ---------------------------------------------------------------------------------------------------------


@transaction.atomic
def create_network(
    *,
    project_id: str,
    name: str = "",
    description: str = "",
    mode: NetworkMode = NetworkMode.NAT,
    mtu: int = 1500,
    is_shared: bool = False,
    is_admin_state_up: bool = True,
) -> Network:
    """A new network, without a subnet: nothing can boot on it yet."""
    return Network.objects.create(
        project_id=project_id,
        name=name,
        description=description,
        mode=mode,
        mtu=mtu,
        is_shared=is_shared,
        is_admin_state_up=is_admin_state_up,
    )


@transaction.atomic
def update_network(*, network_id: UUID, changes: dict[str, Any]) -> None:
    """Sets fields of a network. InUse when it would no longer be shared and other projects have ports on it."""
    network = _locked_network(network_id)
    if network.is_shared and changes.get("is_shared") is False:
        foreign = Port.objects.filter(network=network).exclude(project_id=network.project_id)
        if foreign.exists():
            raise InUse(f"Unable to stop sharing network {network.id}: other projects are using it.")
    _set(network, changes)


@transaction.atomic
def delete_network(*, network_id: UUID) -> None:
    """Removes a network and its subnets. InUse while ports are on it."""
    network = _locked_network(network_id)
    ports = Port.objects.filter(network=network).count()
    if ports:
        raise InUse(
            f"Unable to complete operation on network {network.id}. There are {ports} ports still in use on it."
        )
    network.delete()


def _locked_network(network_id: UUID) -> Network:
    network = Network.objects.select_for_update().filter(pk=network_id).first()
    if network is None:
        raise NotFound(f"Network {network_id} could not be found.")
    return network


def _set(row: Network | Subnet | Port, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        setattr(row, name, value)
    row.updated_at = timezone.now()
    row.save(update_fields=[*changes, "updated_at"])


# --- subnets ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Unset:
    """The user said nothing; None is something that users say."""


UNSET = Unset()


@transaction.atomic
def create_subnet(
    *,
    network_id: UUID,
    project_id: str,
    cidr: str,
    name: str = "",
    description: str = "",
    gateway_ip: str | Unset | None = UNSET,
    enable_dhcp: bool = True,
    dns_nameservers: Sequence[str] = (),
    allocation_pools: Sequence[dict[str, str]] | None = None,
) -> Subnet:
    """A new range on a network. Without a gateway named it is the first address; None: there is none.

    BadRequest for a malformed range, gateway or pool and for an overlap within the network; RangeTaken for one with
    another network: networks have no address space of their own on a host, unless NETWORKS_MAY_OVERLAP says so.
    """
    network = _locked_network(network_id)
    parsed = addressing.parse_cidr(cidr)
    gateway = parsed.network_address + 1 if isinstance(gateway_ip, Unset) else _gateway(parsed, gateway_ip)
    _check_overlap(network, parsed)
    pools = (
        addressing.default_pools(parsed, gateway)
        if allocation_pools is None
        else addressing.checked_pools(parsed, gateway, allocation_pools)
    )
    servers = [str(addressing.parse_ip(ip, "dns_nameservers")) for ip in dns_nameservers]
    present = Subnet.objects.filter(network=network).first()
    if present is not None:
        raise SecondSubnet(f"Network {network.id} has the subnet {present.cidr} already: hosts serve one each.")
    return Subnet.objects.create(
        network=network,
        project_id=project_id,
        name=name,
        description=description,
        cidr=str(parsed),
        gateway_ip=str(gateway) if gateway else None,
        enable_dhcp=enable_dhcp,
        dns_nameservers=servers,
        allocation_pools=pools,
    )


@transaction.atomic
def update_subnet(*, subnet_id: UUID, changes: dict[str, Any]) -> None:
    """Sets fields of a subnet, with the checks of its creation. InUse when a port has the new gateway's address."""
    subnet = _locked_subnet(subnet_id)
    plan = subnet.plan
    gateway = plan.gateway
    checked = dict(changes)
    if "gateway_ip" in changes:
        gateway = _gateway(plan.network, changes["gateway_ip"])
        checked["gateway_ip"] = str(gateway) if gateway else None
        if gateway is not None and subnet.addresses.filter(number=plan.number(gateway)).exists():
            raise InUse(f"Gateway IP {gateway} is in use by a port of subnet {subnet.id}.")
    if "gateway_ip" in changes or "allocation_pools" in changes:
        pools = changes.get("allocation_pools", subnet.allocation_pools)
        checked["allocation_pools"] = addressing.checked_pools(plan.network, gateway, pools)
    if "dns_nameservers" in changes:
        checked["dns_nameservers"] = [
            str(addressing.parse_ip(ip, "dns_nameservers")) for ip in changes["dns_nameservers"]
        ]
    _set(subnet, checked)


@transaction.atomic
def delete_subnet(*, subnet_id: UUID) -> None:
    """Removes a range. InUse while ports have addresses in it."""
    subnet = _locked_subnet(subnet_id)
    if subnet.addresses.exists():
        raise InUse(f"Unable to complete operation on subnet {subnet.id}: One or more ports have an address of it.")
    subnet.delete()


def _locked_subnet(subnet_id: UUID) -> Subnet:
    subnet = Subnet.objects.select_for_update().filter(pk=subnet_id).first()
    if subnet is None:
        raise NotFound(f"Subnet {subnet_id} could not be found.")
    return subnet


def _gateway(network: ipaddress.IPv4Network, text: str | None) -> ipaddress.IPv4Address | None:
    if text is None:
        return None
    gateway = addressing.parse_ip(text, "gateway_ip")
    addressing.check_gateway(network, gateway)
    return gateway


def _check_overlap(network: Network, wanted: ipaddress.IPv4Network) -> None:
    may_overlap = getattr(settings, "NETWORKS_MAY_OVERLAP", False)
    rows = Subnet.objects.filter(network=network) if may_overlap else Subnet.objects.all()
    for network_id, cidr in rows.values_list("network_id", "cidr"):
        if not wanted.overlaps(ipaddress.IPv4Network(cidr)):
            continue
        if network_id == network.id:
            raise BadRequest(
                f"Invalid input for operation: Requested subnet with cidr: {wanted} for network: {network.id} "
                f"overlaps with another subnet, {cidr}.",
                field="cidr",
            )
        raise RangeTaken(
            f"The range {wanted} overlaps that of another network of this cloud; choose another one: "
            "all networks share the routes of the hosts.",
            field="cidr",
        )


# --- ports ------------------------------------------------------------------------------------------------------------


@transaction.atomic
def create_port(
    *,
    network_id: UUID,
    project_id: str,
    name: str = "",
    description: str = "",
    mac: str = "",
    fixed_ips: Sequence[dict[str, str]] | None = None,
    device_id: str = "",
    device_owner: str = "",
    is_admin_state_up: bool = True,
) -> Port:
    """A user's port. `fixed_ips` are {subnet_id, ip_address}; None: one address if the network has a subnet; []: none.

    Raises MacInUse, NoAddressLeft, FixedIpRefused, FixedIpInUse; BadRequest for a subnet of another network.
    """
    _check_owner(device_owner)
    network = Network.objects.select_for_update(no_key=True).filter(pk=network_id).first()
    if network is None:
        raise NotFound(f"Network {network_id} could not be found.")
    port = Port(
        network=network,
        project_id=project_id,
        name=name,
        description=description,
        mac=mac.lower(),
        device_id=device_id,
        device_owner=device_owner,
        is_admin_state_up=is_admin_state_up,
    )
    allocator = Allocator([network_id])
    if fixed_ips is None:
        choices = [allocator.lowest_free(network_id)] if allocator.subnets(network_id) else []
    else:
        choices = _choices(allocator, network_id, fixed_ips)
    try:
        with transaction.atomic():
            write_ports([(port, choices)])
    except IntegrityError:
        raise MacInUse(f"Unable to complete operation for network {network_id}. The mac address {mac} is in use.")
    return port


@transaction.atomic
def update_port(*, port_id: UUID, changes: dict[str, Any], fixed_ips: Sequence[dict[str, str]] | None = None) -> None:
    """Sets fields of a port; `fixed_ips` (None: as they are) replaces its addresses, those in both are kept.

    InUse for the addresses, the MAC or the device of a port that an instance has.
    """
    port = _locked_port(port_id)
    _check_owner(changes.get("device_owner", ""))
    if port.is_bound and (fixed_ips is not None or {"mac", "device_id", "device_owner"} & set(changes)):
        raise InUse(f"Port {port.id} belongs to instance {port.device_id}: its addresses and its device cannot change.")
    if fixed_ips is not None:
        _replace_addresses(port, fixed_ips)
    try:
        with transaction.atomic():
            _set(port, changes)
    except IntegrityError:
        raise MacInUse(
            f"Unable to complete operation for network {port.network_id}. "
            f"The mac address {changes.get('mac')} is in use."
        )


@transaction.atomic
def delete_port(*, port_id: UUID) -> None:
    """Removes a user's port and frees its addresses. InUse while an instance has it."""
    port = _locked_port(port_id)
    if port.is_bound:
        raise InUse(
            f"Port {port.id} cannot be deleted directly: instance {port.device_id} has it. "
            "Detach it or delete the instance."
        )
    port.delete()


def _locked_port(port_id: UUID) -> Port:
    port = Port.objects.select_for_update().filter(pk=port_id).first()
    if port is None:
        raise NotFound(f"Port {port_id} could not be found.")
    return port


def _check_owner(device_owner: str) -> None:
    if device_owner.startswith(DEVICE_OWNER):
        raise BadRequest(
            f"Invalid input for device_owner. Reason: {device_owner[:80]!r} is set when an instance gets the port.",
            field="device_owner",
        )


def _choices(allocator: Allocator, network_id: UUID, fixed_ips: Sequence[dict[str, str]]) -> list[Choice]:
    for wanted in fixed_ips:
        if "subnet_id" in wanted and UUID(wanted["subnet_id"]) not in {s.id for s in allocator.subnets(network_id)}:
            raise BadRequest(
                f"Invalid input for operation: Subnet {wanted['subnet_id']} is not on network {network_id}.",
                field="fixed_ips",
            )
    chosen = []
    for wanted in sorted(fixed_ips, key=lambda item: "ip_address" not in item):
        subnet_id = UUID(wanted["subnet_id"]) if "subnet_id" in wanted else None
        if "ip_address" in wanted:
            chosen.append(allocator.exactly(network_id, wanted["ip_address"], subnet_id))
        else:
            chosen.append(allocator.lowest_free(network_id, subnet_id))
    return chosen


def _replace_addresses(port: Port, fixed_ips: Sequence[dict[str, str]]) -> None:
    kept = {address.ip: address for address in port.addresses.all()}
    wanted = {item["ip_address"] for item in fixed_ips if "ip_address" in item}
    allocator = Allocator([port.network_id])
    gone = [address.pk for ip, address in kept.items() if ip not in wanted]
    PortAddress.objects.filter(pk__in=gone).delete()
    fresh = [item for item in fixed_ips if item.get("ip_address") not in kept]
    choices = _choices(allocator, port.network_id, fresh)
    PortAddress.objects.bulk_create(
        PortAddress(port=port, subnet=choice.subnet, ip=choice.ip, number=choice.number) for choice in choices
    )
