"""What a boot asks of the network: the wire's `networks`, checked and frozen into port requests. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q

from cloud.api.policy import Caller
from cloud.errors import BadRequest, Conflict
from cloud.networks.addressing import parse_ip
from cloud.networks.models import Network, Port, PortAddress, Subnet

AUTO, NONE = "auto", "none"


@dataclass(frozen=True, kw_only=True)
class PortRequest:
    """One interface of a new instance: on which network, and which port or address if the user said so."""

    network_id: str
    port_id: str | None = None
    fixed_ip: str | None = None
    tag: str | None = None

    def to_json(self) -> dict[str, str]:
        """As plain JSON; what is not set is left out."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, data: Mapping[str, str]) -> PortRequest:
        """The request that `to_json` wrote."""
        return cls(
            network_id=data["network_id"],
            port_id=data.get("port_id"),
            fixed_ip=data.get("fixed_ip"),
            tag=data.get("tag"),
        )


class NetworkNotFound(BadRequest):
    """A boot names a network that does not exist or that the caller may not use."""

    code = "network.unknown_network"


class PortNotFound(BadRequest):
    """A boot names a port that does not exist or is another project's."""

    code = "network.unknown_port"


class PortInUse(Conflict):
    """The port belongs to a device."""

    code = "network.port_in_use"


class NetworkAmbiguous(Conflict):
    """Several networks would do, and the request names none."""

    code = "network.ambiguous"


def usable_networks(caller: Caller) -> Q:
    """Which networks the caller may put ports on: its project's and the shared ones; an admin may use any."""
    if caller.is_admin:
        return Q()
    return Q(project_id=caller.project_id or "") | Q(is_shared=True)


def resolve_requested(caller: Caller, networks: Any) -> tuple[PortRequest, ...]:
    """The port requests of the wire's `networks`: "auto", "none", None or a list of {uuid | port, fixed_ip, tag}.

    None and "auto" take the only network that the caller's project can use, or none when there is none. Raises
    BadRequest naming the value for what is unknown or invalid, Conflict for a port in use and an ambiguous "auto".
    """
    if networks == NONE:
        return ()
    if networks is None or networks == AUTO:
        return _only_network(caller)
    if not isinstance(networks, list) or not all(isinstance(item, dict) for item in networks):
        raise BadRequest(
            f"Invalid input for field/attribute networks. Value: {str(networks)[:80]!r}.", field="networks"
        )
    ports = _ports(caller, [item["port"] for item in networks if item.get("port") is not None])
    uuids = [item.get("uuid") for item in networks if item.get("port") is None]
    subnets = _subnets(caller, uuids)
    requests = tuple(_request(item, ports, subnets) for item in networks)
    _check_fixed_ips(requests, subnets)
    return requests


def _only_network(caller: Caller) -> tuple[PortRequest, ...]:
    own = Q(project_id=caller.project_id or "") | Q(is_shared=True)
    found = list(
        Network.objects.filter(own, is_admin_state_up=True, subnets__isnull=False)
        .order_by("id")
        .values_list("id", flat=True)
        .distinct()[:2]
    )
    if len(found) > 1:
        raise NetworkAmbiguous("Multiple possible networks found, use a Network ID to be more specific.")
    return tuple(PortRequest(network_id=str(network_id)) for network_id in found)


def _uuid(value: Any) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _ports(caller: Caller, wanted: list[Any]) -> dict[UUID, Port]:
    ids = [_uuid(value) for value in wanted]
    if len(set(ids)) < len(ids):
        raise BadRequest("Invalid input for networks: a port is named twice.", field="networks")
    if not ids:
        return {}
    rows = Port.objects.filter(id__in=[i for i in ids if i]).prefetch_related("addresses")
    if not caller.is_admin:
        rows = rows.filter(project_id=caller.project_id or "")
    found = {port.id: port for port in rows}
    for value, port_id in zip(wanted, ids, strict=True):
        if port_id not in found:
            raise PortNotFound(f"Port id {str(value)[:80]} could not be found.", port=str(value)[:80])
        port = found[port_id]
        if port.device_id:
            raise PortInUse(f"Port {port.id} is still in use by device {port.device_id}.", port=str(port.id))
        if not port.addresses.all():
            raise BadRequest(f"Port {port.id} requires a FixedIP in order to be used.", port=str(port.id))
    return found


def _subnets(caller: Caller, wanted: list[Any]) -> dict[UUID, list[Subnet]]:
    ids = [_uuid(value) for value in wanted]
    rows = Network.objects.filter(usable_networks(caller), id__in=[i for i in ids if i]).prefetch_related("subnets")
    found = {network.id: list(network.subnets.all()) for network in rows} if any(ids) else {}
    for value, network_id in zip(wanted, ids, strict=True):
        if network_id not in found:
            raise NetworkNotFound(f"Network {str(value)[:80]} could not be found.", network=str(value)[:80])
        if not found[network_id]:
            raise BadRequest(f"Network {value} requires a subnet in order to boot instances on.", network=str(value))
    return found


def _request(item: dict[str, Any], ports: dict[UUID, Port], subnets: dict[UUID, list[Subnet]]) -> PortRequest:
    fixed_ip, tag = item.get("fixed_ip"), item.get("tag")
    if item.get("port") is None:
        network_id = UUID(item["uuid"])
        ip = _usable_ip(fixed_ip, subnets[network_id], network_id) if fixed_ip is not None else None
        return PortRequest(network_id=str(network_id), fixed_ip=ip, tag=tag)
    port = ports[UUID(item["port"])]
    if fixed_ip is not None:
        raise BadRequest(
            f"Specified fixed address '{str(fixed_ip)[:80]}' cannot be used with port '{port.id}': "
            "a port has its addresses already."
        )
    if item.get("uuid") is not None and _uuid(item["uuid"]) != port.network_id:
        raise BadRequest(f"Port {port.id} is not on network {str(item['uuid'])[:80]}.", port=str(port.id))
    return PortRequest(network_id=str(port.network_id), port_id=str(port.id), tag=tag)


def _usable_ip(text: Any, subnets: list[Subnet], network_id: UUID) -> str:
    address = parse_ip(text, "fixed_ip")
    reasons = [subnet.plan.why_not_usable(address) for subnet in subnets]
    if None not in reasons:
        raise BadRequest(
            f"Fixed IP {address} is not a valid ip address for network {network_id}: "
            f"{'; '.join(filter(None, reasons))}.",
            fixed_ip=str(address),
        )
    return str(address)


def _check_fixed_ips(requests: tuple[PortRequest, ...], subnets: dict[UUID, list[Subnet]]) -> None:
    """BadRequest for an address that is asked for twice or that a port has. The allocation decides for real."""
    wanted = [(r.network_id, r.fixed_ip) for r in requests if r.fixed_ip is not None]
    if not wanted:
        return
    if len(set(wanted)) < len(wanted):
        raise BadRequest("Invalid input for networks: a fixed IP is asked for twice on one network.", field="networks")
    taken = PortAddress.objects.filter(subnet__network_id__in=subnets, ip__in=[ip for _, ip in wanted])
    for network_id, ip in taken.values_list("subnet__network_id", "ip"):
        if (str(network_id), ip) in wanted:
            raise BadRequest(f"Fixed IP address {ip} is already in use on network {network_id}.", fixed_ip=ip)
