"""Findings about the networks of hosts: DHCP entries of ports that are not there, ports whose guests get no address."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from cloud.networks.models import Port
from hypervisor.holdings import NetworkFound, PortFound
from instances.doctor.finding import CacheClearing, Clearing, Code, Finding
from instances.doctor.look import Look
from instances.states import PowerState

STALE = Code(
    name="dhcp.stale",
    finds="a host gives an address to a port that is not plugged in there",
    danger="Its address is given out twice when another port gets it.",
    repair="The entry and its lease are taken back.",
    is_safe=True,
)
STRAY = Code(
    name="dhcp.stray",
    finds="a network on a host has a DHCP entry that no port of the host is plugged with",
    danger="Its address is given out twice when a port gets it.",
    repair="The entry and its lease are taken back.",
    is_safe=True,
)
LEASED = Code(
    name="dhcp.leased",
    finds="a network on a host has a DHCP lease of a MAC that no port of the host has",
    danger="A port that gets its address next is refused it until the lease ends.",
    repair="The lease is taken back.",
    is_safe=True,
)
MISSING = Code(
    name="dhcp.missing",
    finds="a guest runs on a host whose DHCP does not know one of its ports, or whose network is not running",
    danger="The guest loses its address when its lease ends, or has lost its network.",
    repair="Hard reboot the instance: that plugs its ports anew.",
)
CODES = (STALE, STRAY, LEASED, MISSING)


def findings(look: Look) -> Iterator[Finding]:
    """All of this family."""
    rows = {str(port.pk): port for port in look.ports}
    for host, holdings in look.hosts.items():
        for network in holdings.networks:
            for found in network.ports:
                if not _belongs(look, found, rows.get(found.port_id), host):
                    yield _stale(found, host)
            yield from _strays(network, host)
    yield from _missing(look)


def _belongs(look: Look, found: PortFound, row: Port | None, host: str) -> bool:
    target = UUID(found.instance_id)
    if row is None or row.device_id != found.instance_id or target not in look.instances:
        return False
    return host in {row.binding_host, row.moving_to} or host in look.may_be_on(target) or target in look.astray


def _stale(found: PortFound, host: str) -> Finding:
    target = UUID(found.instance_id)
    return Finding(
        code=STALE,
        objects={"host": host, "port": found.port_id, "instance": found.instance_id, "network": found.network_id},
        detail=f"Host {host} gives {found.ip} to {found.mac} on network {found.network_id}.",
        concerns=frozenset({target}),
        fix=Clearing(target=target, host=host, ports=(found.port_id,)),
    )


def _strays(network: NetworkFound, host: str) -> Iterator[Finding]:
    for entry in network.strays:
        yield Finding(
            code=STRAY,
            objects={"host": host, "network": network.id, "mac": entry.mac, "ip": entry.ip},
            detail=f"Host {host} gives {entry.ip} to {entry.mac} on network {network.id}.",
            fix=CacheClearing(host=host, what={"entry": [network.id, entry.mac, entry.ip]}),
        )
    for lease in network.leases:
        yield Finding(
            code=LEASED,
            objects={"host": host, "network": network.id, "mac": lease.mac, "ip": lease.ip},
            detail=f"Host {host} has leased {lease.ip} to {lease.mac} on network {network.id}.",
            fix=CacheClearing(host=host, what={"entry": [network.id, lease.mac, lease.ip]}),
        )


def _missing(look: Look) -> Iterator[Finding]:
    served = {
        (host, port.port_id): network.is_running and port.is_served
        for host, holdings in look.hosts.items()
        for network in holdings.networks
        for port in network.ports
    }
    by_instance: dict[str, list[Port]] = {}
    for port in filter(lambda port: port.is_bound, look.ports):
        by_instance.setdefault(port.device_id, []).append(port)
    for row in look.settled():
        domain = look.domains.get(row.pk, {}).get(row.host)
        if domain is None or domain.power_state != PowerState.RUNNING:
            continue
        for port in by_instance.get(str(row.pk), ()):
            if not served.get((row.host, str(port.pk)), False):
                yield Finding(
                    code=MISSING,
                    objects={"host": row.host, "port": str(port.pk), "instance": str(row.pk)},
                    detail=f"Host {row.host} does not serve port {port.pk} ({port.mac}) of instance {row.pk}.",
                    concerns=frozenset({row.pk}),
                )
