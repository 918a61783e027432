"""Which addresses a port gets: the lowest free ones of the subnet's pools.

Whoever takes addresses holds the row lock of each subnet that it takes from until its transaction ends (`lock_subnets`;
SQLite's BEGIN IMMEDIATE is the same lock, on everything). Under the lock a statement of its own finds the lowest free
number by an anti-join on the unique index, so that no list of addresses is loaded; the unique constraint stays as the
last word. Releasing takes no lock: a row that is deleted and not yet committed counts as taken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Exists, OuterRef, Subquery

from cloud.errors import Abort
from cloud.networks.addressing import parse_ip
from cloud.networks.models import PortAddress, Subnet


class NoAddressLeft(Abort):
    """Every address that the network may give out is in use."""

    code, status = "network.no_address_left", 409


class FixedIpRefused(Abort):
    """The address that was asked for cannot be had on this network."""

    code, status = "network.fixed_ip_refused", 400


class FixedIpInUse(FixedIpRefused):
    """Another port has the address that was asked for."""

    code, status = "network.fixed_ip_in_use", 409


@dataclass(frozen=True)
class Choice:
    """An address chosen for a port that is about to be written."""

    subnet: Subnet
    number: int

    @property
    def ip(self) -> str:
        """The address as text."""
        return self.subnet.plan.ip(self.number)


class Allocator:
    """Chooses addresses on some networks for the length of one transaction; what it chose it does not choose again."""

    def __init__(self, network_ids: Iterable[UUID]) -> None:
        self._subnets = lock_subnets(network_ids)
        self._chosen: dict[UUID, set[int]] = defaultdict(set)

    def subnets(self, network_id: UUID) -> list[Subnet]:
        """The network's subnets, the oldest first."""
        return self._subnets.get(network_id, [])

    def lowest_free(self, network_id: UUID, subnet_id: UUID | None = None) -> Choice:
        """The lowest free address of the network, its oldest subnet first. NoAddressLeft when there is none."""
        subnets = [s for s in self.subnets(network_id) if subnet_id in (None, s.id)]
        for subnet in subnets:
            number = _lowest_free(subnet, self._chosen[subnet.id])
            if number is not None:
                return self._choose(subnet, number)
        if not subnets:
            raise NoAddressLeft(
                f"Network {network_id} has no subnet to take an address from.", network_id=str(network_id)
            )
        ranges = ", ".join(f"{s.cidr} ({s.plan.size} addresses)" for s in subnets)
        raise NoAddressLeft(
            f"No more IP addresses available on network {network_id}: all of {ranges} are in use.",
            network_id=str(network_id),
        )

    def exactly(self, network_id: UUID, ip: str, subnet_id: UUID | None = None) -> Choice:
        """The address `ip`. FixedIpRefused when no subnet can have it, FixedIpInUse when it is taken."""
        address = parse_ip(ip, "fixed_ips")
        reasons = []
        for subnet in self.subnets(network_id):
            if subnet_id not in (None, subnet.id):
                continue
            plan = subnet.plan
            reason = plan.why_not_usable(address)
            if reason is not None:
                reasons.append(reason)
                continue
            number = plan.number(address)
            is_taken = number in self._chosen[subnet.id] or subnet.addresses.filter(number=number).exists()
            if is_taken:
                raise FixedIpInUse(f"IP address {ip} is already allocated in subnet {subnet.id}.", ip=ip)
            return self._choose(subnet, number)
        why = "; ".join(reasons) or "the network has no subnet"
        raise FixedIpRefused(f"IP address {ip} is not a valid address of network {network_id}: {why}.", ip=ip)

    def _choose(self, subnet: Subnet, number: int) -> Choice:
        self._chosen[subnet.id].add(number)
        return Choice(subnet, number)


def lock_subnets(network_ids: Iterable[UUID]) -> dict[UUID, list[Subnet]]:
    """The subnets of some networks, locked until the transaction ends, in one query.

    They are locked in the order of their ids, so that two transactions cannot wait for each other; `no_key` lets ports
    of others that refer to the subnet be written meanwhile.
    """
    wanted = list(set(network_ids))
    found: dict[UUID, list[Subnet]] = defaultdict(list)
    if wanted:
        rows = Subnet.objects.filter(network_id__in=wanted).order_by("id").select_for_update(no_key=True)
        for subnet in sorted(rows, key=lambda row: (row.created_at, row.id)):
            found[subnet.network_id].append(subnet)
    return found


def _lowest_free(subnet: Subnet, chosen: Collection[int]) -> int | None:
    for pool in subnet.plan.pools:
        start = pool.first
        while start <= pool.last:
            number = _first_gap(subnet, start, pool.last)
            if number is None:
                break
            if number not in chosen:
                return number
            start = number + 1
    return None


def _first_gap(subnet: Subnet, first: int, last: int) -> int | None:
    """The lowest number from `first` to `last` that no port has: `first`, or the one after a taken one. One query."""
    taken = PortAddress.objects.filter(subnet=subnet)
    followed = PortAddress.objects.filter(subnet=subnet, number=OuterRef("number") + 1)
    before_gap = taken.filter(~Exists(followed), number__gte=first, number__lt=last).order_by("number")
    is_first_taken, before = (
        Subnet.objects.filter(pk=subnet.pk)
        .annotate(
            is_first_taken=Exists(taken.filter(number=first)),
            before=Subquery(before_gap.values("number")[:1]),
        )
        .values_list("is_first_taken", "before")
        .get()
    )
    if not is_first_taken:
        return first
    return None if before is None else int(before) + 1
