"""How an instance gets its ports and gives them back. Both are repeatable: what an action did once it finds again.

Inside a transaction these make no savepoint of their own: the engine runs each step in one, and an error ends that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from cloud.errors import Abort
from cloud.networks.addressing import random_mac
from cloud.networks.allocation import Allocator, Choice
from cloud.networks.models import Port, PortAddress, PortStatus
from cloud.networks.requests import PortRequest

DEVICE_OWNER = "compute:"  # the wire's owner of an instance's port: this and the zone
_MAC_ATTEMPTS = 8


class PortTaken(Abort):
    """A port that the user named is gone, or was plugged in elsewhere since the request was accepted."""

    code, status = "network.port_taken", 409


@transaction.atomic(savepoint=False)
def allocate_ports(
    *,
    instance_id: UUID,
    project_id: str,
    host: str,
    requests: Sequence[PortRequest],
    action_id: UUID,
    zone: str = "nova",
) -> list[Port]:
    """The ports of `requests`, in their order, bound to the instance on `host`: made on networks, users' own bound.

    After it each of them has an address. The same action gets the same ports again, moved to `host` should that have
    changed. Raises NoAddressLeft, FixedIpRefused or PortTaken (all Abort), and then has changed nothing.
    """
    present = list(Port.objects.filter(device_id=str(instance_id), bound_by__isnull=False).order_by("position"))
    bound = [port for port in present if port.bound_by == action_id]
    if bound or not requests:
        return _moved(bound, host)
    binding = {
        "device_id": str(instance_id),
        "device_owner": f"{DEVICE_OWNER}{zone}",
        "binding_host": host,
        "status": PortStatus.ACTIVE,
        "bound_by": action_id,
    }
    chosen = _choose(requests)
    first = present[-1].position + 1 if present else 0
    ports: list[Port] = []
    for index, request in enumerate(requests):
        own = {**binding, "position": first + index, "device_tag": request.tag or ""}
        if request.port_id is not None:
            ports.append(_bind(UUID(request.port_id), own))
        else:
            ports.append(Port(network_id=UUID(request.network_id), project_id=project_id, made_by=action_id, **own))
    write_ports([(port, [chosen[i]]) for i, port in enumerate(ports) if i in chosen])
    return ports


@transaction.atomic(savepoint=False)
def release_ports(*, instance_id: UUID, action_id: UUID | None = None) -> None:
    """Takes the instance's ports away: what was made for it is deleted, users' own ports are unbound and kept.

    With `action_id` only what that action made or bound. May run twice.
    """
    bound = Port.objects.filter(device_id=str(instance_id), bound_by__isnull=False)
    if action_id is not None:
        bound = bound.filter(bound_by=action_id)
    bound.filter(made_by__isnull=False).delete()
    bound.filter(made_by__isnull=True).update(**_UNBOUND, updated_at=timezone.now())


def prepare_move(*, instance_id: UUID, to_host: str, action_id: UUID) -> None:
    """After it the instance's ports are wanted at `to_host` as well as where they are bound: to be called before
    `to_host` plugs them. Nothing has to be noted while a network lives on each host by itself. May run twice."""


@transaction.atomic(savepoint=False)
def move_ports(*, instance_id: UUID, to_host: str, action_id: UUID) -> None:
    """After it the instance's ports are bound to `to_host` alone, with their MACs and addresses. May run twice."""
    _moved(list(Port.objects.filter(device_id=str(instance_id), bound_by__isnull=False)), to_host)


def abandon_move(*, instance_id: UUID) -> None:
    """After it the instance's ports are wanted only where they are bound: the undo of `prepare_move`. May run twice."""


_UNBOUND: dict[str, Any] = {
    "device_id": "",
    "device_owner": "",
    "device_tag": "",
    "binding_host": "",
    "position": 0,
    "status": PortStatus.DOWN,
    "bound_by": None,
}


def _choose(requests: Sequence[PortRequest]) -> dict[int, Choice]:
    """An address for each request that has no port yet; those named by the user first, so that none is given away."""
    fresh = [(index, request) for index, request in enumerate(requests) if request.port_id is None]
    allocator = Allocator(UUID(request.network_id) for _, request in fresh)
    chosen = {
        index: allocator.exactly(UUID(request.network_id), request.fixed_ip)
        for index, request in fresh
        if request.fixed_ip is not None
    }
    for index, request in fresh:
        if index not in chosen:
            chosen[index] = allocator.lowest_free(UUID(request.network_id))
    return chosen


def _bind(port_id: UUID, binding: dict[str, Any]) -> Port:
    """Plugs a user's port in, if it is still there and free: one conditional write."""
    changed = Port.objects.filter(pk=port_id, device_id="", bound_by=None).update(**binding, updated_at=timezone.now())
    if changed == 0:
        raise PortTaken(f"Port {port_id} is gone or in use by another device.", port=str(port_id))
    return Port.objects.get(pk=port_id)


def _moved(bound: list[Port], host: str) -> list[Port]:
    if any(port.binding_host != host for port in bound):
        Port.objects.filter(pk__in=[port.pk for port in bound]).update(binding_host=host, updated_at=timezone.now())
        for port in bound:
            port.binding_host = host
    return bound


def write_ports(ports: Iterable[tuple[Port, Sequence[Choice]]]) -> None:
    """Writes new ports with their addresses. A port without a MAC gets a random one that its network has not seen.

    Raises IntegrityError when a MAC that was given is taken.
    """
    pairs = list(ports)
    if not pairs:
        return
    drawn = [port for port, _ in pairs if not port.mac]
    for attempt in range(_MAC_ATTEMPTS):
        for port in drawn:
            port.mac = random_mac()
        try:
            with transaction.atomic():  # a savepoint: a MAC that is taken must not end the caller's transaction
                Port.objects.bulk_create([port for port, _ in pairs])
            break
        except IntegrityError:
            if not drawn or attempt == _MAC_ATTEMPTS - 1:
                raise
    PortAddress.objects.bulk_create(
        PortAddress(port=port, subnet=choice.subnet, ip=choice.ip, number=choice.number)
        for port, choices in pairs
        for choice in choices
    )
