"""Arithmetic of IPv4 ranges and other numbers of networks: what may be given out. No database."""

from __future__ import annotations

import ipaddress
import itertools
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.conf import settings

from cloud.errors import BadRequest, Conflict

MIN_PREFIX, MAX_PREFIX = 8, 30
_UNUSABLE = tuple(
    ipaddress.IPv4Network(text) for text in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4")
)
MAC_PREFIX = "fa:16:3e"


@dataclass(frozen=True)
class Pool:
    """Addresses that may be given out, as numbers counted from the subnet's first address; both ends are in."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True)
class SubnetPlan:
    """A subnet's range, gateway and pools as numbers."""

    network: ipaddress.IPv4Network
    gateway: ipaddress.IPv4Address | None
    pools: tuple[Pool, ...]

    @property
    def size(self) -> int:
        """How many addresses may be given out."""
        return sum(len(pool) for pool in self.pools)

    def ip(self, number: int) -> str:
        """The address of a number."""
        return str(self.network.network_address + number)

    def number(self, address: ipaddress.IPv4Address) -> int:
        """The number of an address."""
        return int(address) - int(self.network.network_address)

    def why_not_usable(self, address: ipaddress.IPv4Address) -> str | None:
        """Why a port cannot have `address` even if it is free; None when it can. Pools bind the allocator alone."""
        if address not in self.network:
            return f"it is outside {self.network}"
        if address in (self.network.network_address, self.network.broadcast_address):
            return f"it is the network or the broadcast address of {self.network}"
        if address == self.gateway:
            return f"it is the gateway of {self.network}"
        return None


def plan_of(cidr: str, gateway_ip: str | None, pools: Sequence[dict[str, str]]) -> SubnetPlan:
    """The plan of a stored subnet."""
    return _plan(cidr, gateway_ip, tuple((pool["start"], pool["end"]) for pool in pools))


@lru_cache(maxsize=1024)
def _plan(cidr: str, gateway_ip: str | None, pools: tuple[tuple[str, str], ...]) -> SubnetPlan:
    network = ipaddress.IPv4Network(cidr)
    base = int(network.network_address)
    numbered = tuple(
        Pool(int(ipaddress.IPv4Address(start)) - base, int(ipaddress.IPv4Address(end)) - base) for start, end in pools
    )
    return SubnetPlan(network, ipaddress.IPv4Address(gateway_ip) if gateway_ip else None, numbered)


def parse_cidr(text: str) -> ipaddress.IPv4Network:
    """The network of `"10.0.0.0/24"`. BadRequest when it is malformed, has host bits or cannot hold guests."""
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError:
        raise BadRequest(f"Invalid input for cidr. Reason: {text[:80]!r} is not a valid IP subnet.", field="cidr")
    if interface.version != 4 or not isinstance(interface, ipaddress.IPv4Interface):
        raise BadRequest(f"Invalid input for cidr. Reason: {text[:80]!r} is IPv6; only IPv4 is served.", field="cidr")
    network = interface.network
    if "/" not in text or interface.ip != network.network_address:
        raise BadRequest(
            f"Invalid input for cidr. Reason: {text[:80]!r} isn't a recognized IP subnet cidr, "
            f"'{network}' is recommended.",
            field="cidr",
        )
    if not MIN_PREFIX <= network.prefixlen <= MAX_PREFIX:
        raise BadRequest(
            f"Invalid input for cidr. Reason: '{network}' has a prefix of {network.prefixlen} bits; "
            f"it must be from {MIN_PREFIX} to {MAX_PREFIX}.",
            field="cidr",
        )
    for unusable in _UNUSABLE:
        if network.overlaps(unusable):
            raise BadRequest(f"Invalid input for cidr. Reason: '{network}' is in {unusable}, which no guest can use.")
    return network


def parse_ip(text: Any, field: str) -> ipaddress.IPv4Address:
    """An IPv4 address; BadRequest naming `field` when it is none."""
    try:
        return ipaddress.IPv4Address(text if isinstance(text, str) else "")
    except ValueError:
        raise BadRequest(
            f"Invalid input for {field}. Reason: {str(text)[:80]!r} is not a valid IPv4 address.", field=field
        )


def check_gateway(network: ipaddress.IPv4Network, gateway: ipaddress.IPv4Address) -> None:
    """BadRequest unless `gateway` is an address that a host can have on `network`."""
    if gateway not in network or gateway in (network.network_address, network.broadcast_address):
        raise BadRequest(
            f"Invalid input for gateway_ip. Reason: '{gateway}' is not a usable address of '{network}'.",
            field="gateway_ip",
        )


def default_pools(network: ipaddress.IPv4Network, gateway: ipaddress.IPv4Address | None) -> list[dict[str, str]]:
    """All usable addresses but the gateway, as one or two pools."""
    first, last = network.network_address + 1, network.broadcast_address - 1
    if gateway is None:
        return [_pool(first, last)]
    return [_pool(a, b) for a, b in ((first, gateway - 1), (gateway + 1, last)) if a <= b]


def checked_pools(
    network: ipaddress.IPv4Network, gateway: ipaddress.IPv4Address | None, wanted: Iterable[dict[str, Any]]
) -> list[dict[str, str]]:
    """`wanted` in ascending order. BadRequest for one outside the subnet or an overlap; Conflict over the gateway."""
    ranges = []
    for pool in wanted:
        start, end = parse_ip(pool["start"], "allocation_pools"), parse_ip(pool["end"], "allocation_pools")
        shown = f"{start}-{end}"
        if start > end:
            raise BadRequest(f"The start address of the allocation pool {shown} is greater than its end address.")
        if start <= network.network_address or end >= network.broadcast_address:
            raise BadRequest(f"The allocation pool {shown} spans beyond the usable addresses of the subnet {network}.")
        if gateway is not None and start <= gateway <= end:
            raise Conflict(f"Gateway IP {gateway} conflicts with the allocation pool {shown}.")
        ranges.append((start, end))
    ranges.sort()
    for (_, end), (start, after) in itertools.pairwise(ranges):
        if start <= end:
            raise BadRequest(f"Found overlapping allocation pools: {start}-{after} begins before {end}, another's end.")
    return [_pool(start, end) for start, end in ranges]


def _pool(start: ipaddress.IPv4Address, end: ipaddress.IPv4Address) -> dict[str, str]:
    return {"start": str(start), "end": str(end)}


def random_mac() -> str:
    """A MAC in the range that OpenStack clouds use, its last three bytes random."""
    return ":".join([MAC_PREFIX, *(f"{byte:02x}" for byte in secrets.token_bytes(3))])


def random_vni() -> int:
    """A number for a network's tunnels, of 24 bits. Random, so that one is not soon used again, and clouds that share
    hosts do not choose the same."""
    return 1 + secrets.randbelow(2**24 - 1)


def default_mtu() -> int:
    """The MTU of new networks: what is left of the hosts' own when a tunnel took its part."""
    return int(settings.NETWORK_MTU)
