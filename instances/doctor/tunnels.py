"""Findings about how networks reach over hosts: tunnels, their packet filters, and what is left of a network on a host
that has no port of it.

What a host should have follows from its row as one of the network's hosts, once it was told of the last version of
these; until then an action is on its way, or a sweep will send one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from uuid import UUID

from cloud.networks.models import NetworkHost
from cloud.networks.reach import target_of
from hypervisor.holdings import NetworkFound, TunnelFound
from hypervisor.spec import reach_each_other
from instances.doctor.finding import CacheClearing, Code, Finding, Telling
from instances.doctor.look import Look

_TOLD_ANEW = "The host is told anew of the network's hosts, and makes its tunnel and filters as they should be."

MISSING = Code(
    name="tunnel.missing",
    finds="a host has no tunnel to the other hosts of a network",
    danger="Its guests do not reach those of the network on other hosts.",
    repair=_TOLD_ANEW,
    is_safe=True,
)
WRONG = Code(
    name="tunnel.wrong",
    finds="a host's tunnel of a network is not that network's, is off its bridge, or goes to other hosts than those "
    "that have the network",
    danger="Guests of the network do not reach one another, or their broadcasts go where they should not.",
    repair=_TOLD_ANEW,
    is_safe=True,
)
UNFILTERED = Code(
    name="tunnel.unfiltered",
    finds="a host's packet filters (ebtables) do not keep gateway and DHCP of a network off its tunnel",
    danger="A guest may get its address from, or send its packets through, another host than its own.",
    repair=_TOLD_ANEW,
    is_safe=True,
)
IDLE = Code(
    name="network.idle",
    finds="a host has the bridge or the tunnel of a network that has no port there",
    danger="The network's broadcasts may go to a host that has nothing of it.",
    repair="It is removed, unless a port or a guest came to be on it meanwhile.",
    is_safe=True,
)
CODES = (MISSING, WRONG, UNFILTERED, IDLE)

_ByNetwork = Mapping[UUID, list[NetworkHost]]


def findings(look: Look) -> Iterator[Finding]:
    """All of this family."""
    by_network: dict[UUID, list[NetworkHost]] = defaultdict(list)
    for row in look.network_hosts:
        by_network[row.network_id].append(row)
    for host, holdings in look.hosts.items():
        for network in holdings.networks:
            rows = by_network.get(UUID(network.id), [])
            for row in rows:
                if row.host == host and row.told == row.network.reach_version:
                    yield from _of_tunnel(look, network, row, rows)
        yield from _idle(look, host)


def _of_tunnel(look: Look, network: NetworkFound, row: NetworkHost, rows: list[NetworkHost]) -> Iterator[Finding]:
    """One at most: what makes one of them right makes all of them right."""
    if not network.is_running or not network.is_tunnel_known:
        return
    others = {other.address for other in rows} - {row.address}
    wanted = sorted(address for address in others if reach_each_other(address, row.address))
    tunnel = network.tunnel
    if tunnel is None:
        found = (MISSING, f"has no tunnel to {', '.join(wanted)}") if wanted else None
    elif faults := list(_faults(tunnel, row, wanted)):
        found = WRONG, f"has a tunnel that {' and '.join(faults)}"
    else:
        found = None if tunnel.is_filtered else (UNFILTERED, "lacks packet filters of its tunnel")
    if found is None:
        return
    code, words = found
    instances = {UUID(port.instance_id) for port in network.ports}
    yield Finding(
        code=code,
        objects={"host": row.host, "network": network.id},
        detail=f"Host {row.host} {words} on network {network.id}.",
        concerns=_concerned(look, row.network_id, row.host) | instances,
        fix=Telling(network=row.network_id, host=row.host),
    )


def _faults(tunnel: TunnelFound, row: NetworkHost, wanted: list[str]) -> Iterator[str]:
    if _addresses(tunnel.peers) != _addresses(wanted):
        yield f"goes to {', '.join(tunnel.peers) or 'nobody'} instead of {', '.join(wanted) or 'nobody'}"
    if wanted and (tunnel.vni != row.network.vni or _addresses([tunnel.local]) != _addresses([row.address])):
        yield f"is number {tunnel.vni} of {tunnel.local}, not {row.network.vni} of {row.address}"
    if wanted and not tunnel.is_attached:
        yield "is down or not on the network's bridge"


def _addresses(texts: Iterable[str]) -> set[object]:
    """As addresses, so that their spelling does not matter."""
    return {ip_address(text) for text in texts if text}


def _idle(look: Look, host: str) -> Iterator[Finding]:
    """Of networks that the database knows: others may be another cloud's on the same machine. One whose DHCP serves a
    port of ours is another of our hosts' on it."""
    known = {network.hex[:12]: network for network in look.networks}
    left: dict[UUID, list[str]] = defaultdict(list)
    kept: set[UUID] = set()
    macs = {(port.network_id, port.mac.lower()) for port in look.ports if port.is_bound}
    for found in look.hosts[host].leftovers:
        network = known.get(found.name[3:])
        if network is not None:
            left[network].append(found.name)
            if found.is_used or any((network, mac) in macs for mac in found.macs):
                kept.add(network)
    for network, names in left.items():
        if network not in kept:
            yield Finding(
                code=IDLE,
                objects={"host": host, "network": str(network), "devices": ",".join(sorted(names))},
                detail=f"Host {host} has {' and '.join(sorted(names))}, and no port of network {network}.",
                concerns=_concerned(look, network, host),
                fix=CacheClearing(host=host, what={"network": str(network)}),
            )


def _concerned(look: Look, network: UUID, host: str) -> frozenset[UUID]:
    """The telling of this host, and all instances of which a port may come or go there."""
    ports = (port for port in look.ports if port.network_id == network and host in {port.binding_host, port.moving_to})
    by_id = {str(target): target for target in look.instances}
    instances = {by_id[port.device_id] for port in ports if port.device_id in by_id}
    return frozenset({target_of(network, host), *instances})
