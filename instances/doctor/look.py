"""What the doctor compares: the rows of all rooms, and what each host said that it has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from uuid import UUID

from django.db.models import Q

from cloud.images.models import Image
from cloud.networks.models import Network, NetworkHost, Port
from cloud.workflow.models import Action
from hypervisor.holdings import DirectoryFound, DomainFound, HostHoldings
from instances.doctor.stamps import Stamps
from instances.models import Instance, Migration, MigrationType
from instances.operations.clear_remains import ClearRemains
from instances.unfinished_moves import UNFINISHED
from scheduling.models import Allocation
from scheduling.selectors import storage_ids_of

_COLUMNS = ("id", "project_id", "host", "vm_state", "task_state", "power_state", "previous_vm_state", "updated_at")
_SIZES = ("vcpus", "memory_mib", "disk_gib", "ephemeral_gib")


@dataclass(frozen=True)
class Directory:
    """One directory of an instance, on the storage of all `hosts` that see it."""

    found: DirectoryFound
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Look:
    """One look at everything. `hosts`: those that answered and are at work; of the others nothing is known."""

    hosts: Mapping[str, HostHoldings]
    before: Stamps
    instances: Mapping[UUID, Instance]  # the living ones
    deleted: frozenset[UUID]
    moves: tuple[Migration, ...]  # that are not over, of living instances
    allocations: tuple[Allocation, ...]
    ports: tuple[Port, ...]  # that are plugged in, or that the cloud made
    image_hashes: frozenset[str]
    networks: frozenset[UUID]
    network_hosts: tuple[NetworkHost, ...]  # with their networks
    storage_ids: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def at(cls, hosts: Mapping[str, HostHoldings], before: Stamps) -> Look:
        """The rows as they are now, beside what the hosts said a moment ago."""
        instances = {row.pk: row for row in Instance.objects.filter(deleted_at=None).only(*_COLUMNS, *_SIZES)}
        moves = Migration.objects.filter(status__in=UNFINISHED, instance__deleted_at=None)
        places = {row.host for row in instances.values()} | set(hosts)
        return cls(
            hosts=hosts,
            before=before,
            instances=instances,
            deleted=frozenset(Instance.objects.exclude(deleted_at=None).values_list("pk", flat=True)),
            moves=tuple(moves),
            allocations=tuple(Allocation.objects.all()),
            ports=tuple(Port.objects.filter(Q(bound_by__isnull=False) | Q(made_by__isnull=False))),
            image_hashes=frozenset(Image.objects.values_list("os_hash_value", flat=True)),
            networks=frozenset(Network.objects.values_list("pk", flat=True)),
            network_hosts=tuple(NetworkHost.objects.select_related("network")),
            storage_ids=storage_ids_of({*places, *(host for move in moves for host in _sides(move))}),
        )

    # --- domains ---

    @cached_property
    def domains(self) -> Mapping[UUID, Mapping[str, DomainFound]]:
        """Our domains: instance → host → domain."""
        found: dict[UUID, dict[str, DomainFound]] = defaultdict(dict)
        for host, holdings in self.hosts.items():
            for domain in holdings.domains:
                if domain.is_ours:
                    found[UUID(domain.instance_id)][host] = domain
        return dict(found)

    @cached_property
    def astray(self) -> Mapping[UUID, str]:
        """Instances that have their only domain, and their disk, on another host than their row says, and where."""
        found = {}
        for target, by_host in self.domains.items():
            row = self.instances.get(target)
            if row is None or row.host not in self.hosts or set(by_host) & self.may_be_on(target):
                continue
            here = [host for host in by_host if self.has_disk(target, host)]
            if len(by_host) == 1 and here:
                found[target] = here[0]
        return found

    # --- places ---

    @cached_property
    def _hosts_of_moves(self) -> Mapping[UUID, frozenset[str]]:
        found: dict[UUID, set[str]] = defaultdict(set)
        for move in self.moves:
            found[move.instance_id].update(_sides(move))
        return {target: frozenset(hosts - {""}) for target, hosts in found.items()}

    def is_moving(self, target: UUID) -> bool:
        """A migration of it is not over."""
        return target in self._hosts_of_moves

    def may_be_on(self, target: UUID) -> set[str]:
        """Hosts that may have something of the living instance: its own, and those of its unfinished migrations."""
        return {self.instances[target].host, *self._hosts_of_moves.get(target, ())} - {""}

    # --- directories ---

    @cached_property
    def directories(self) -> tuple[Directory, ...]:
        """Each directory once, however many hosts see it."""
        seen: dict[tuple[str, str], list[str]] = defaultdict(list)
        what: dict[tuple[str, str], DirectoryFound] = {}
        for host, holdings in sorted(self.hosts.items()):
            for directory in holdings.directories:
                seen[holdings.storage_id or host, directory.name].append(host)
                what[holdings.storage_id or host, directory.name] = directory
        return tuple(Directory(what[key], tuple(hosts)) for key, hosts in seen.items())

    @cached_property
    def _disks(self) -> Mapping[tuple[str, str], bool]:
        """(host, instance) of each own directory → whether it has a disk."""
        return {
            (host, directory.found.instance_id): directory.found.has_disk
            for directory in self.directories
            if not (directory.found.kept_by or directory.found.is_removing)
            for host in directory.hosts
        }

    def has_disk(self, target: UUID, host: str) -> bool:
        """The host, which answered, sees the instance's disk."""
        return self._disks.get((host, str(target)), False)

    def sees_storage_of(self, directory: Directory, hosts: set[str]) -> bool:
        """One of `hosts` has the directory among its own, by what it says now or said of its storage last."""
        own = {self.storage_ids.get(host, "") for host in directory.hosts} - {""}
        return bool(hosts & set(directory.hosts)) or any(self.storage_ids.get(host) in own for host in hosts)

    # --- who is known ---

    @cached_property
    def has_actions(self) -> frozenset[UUID]:
        """Targets that something was ever done to, but for the doctor's own clearing."""
        rows = Action.objects.exclude(operation=ClearRemains.name).order_by()
        return frozenset(rows.values_list("target_id", flat=True).distinct())

    def settled(self) -> Iterator[Instance]:
        """Living instances on which nothing is at work, whose host answered, and which are where their row says."""
        for row in self.instances.values():
            if row.task_state is None and row.host in self.hosts and row.pk not in self.astray:
                yield row


def _sides(move: Migration) -> set[str]:
    sides = {move.destination_host}
    if move.type != MigrationType.EVACUATION:
        sides.add(move.source_host)
    return sides
