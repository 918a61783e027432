"""Findings about ports: plugged into an instance that is gone, or bound to another host than the instance's."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from cloud.networks import services as networks
from cloud.networks.models import Port
from cloud.networks.rehosting import bind_to_host
from instances.doctor.finding import Code, Finding, InTransaction
from instances.doctor.look import Look
from instances.models import Instance

LEAKED = Code(
    name="port.leaked",
    finds="a port is plugged into an instance that is deleted or known to nobody",
    danger="Its address, and a user's own port, cannot be used.",
    repair="A port that was made for the instance is deleted; a user's own is free again.",
    is_safe=True,
)
WRONG_HOST = Code(
    name="port.wrong_host",
    finds="a port of an idle instance is bound to, or on its way to, another host than the instance's",
    danger="The other hosts of its network do not reach it, and its guest gets no address when it starts next.",
    repair="The port is bound to the instance's host.",
    is_safe=True,
)
CODES = (LEAKED, WRONG_HOST)


def findings(look: Look) -> Iterator[Finding]:
    """All of this family."""
    for port in look.ports:
        target = _uuid(port.device_id)
        row = look.instances.get(target) if target else None
        if row is None:
            yield _leaked(port, target)
        elif _is_elsewhere(look, port, row):
            yield Finding(
                code=WRONG_HOST,
                objects={"port": str(port.pk), "instance": str(row.pk), "host": port.binding_host},
                detail=f"Port {port.pk} is bound to {_places(port)}, and its instance is on {row.host or 'no host'}.",
                concerns=frozenset({row.pk}),
                fix=InTransaction(work=partial(_bind, row.pk, row.host)),
            )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _is_elsewhere(look: Look, port: Port, row: Instance) -> bool:
    if not port.is_bound or row.task_state is not None or row.pk in look.astray or look.is_moving(row.pk):
        return False
    return (port.binding_host, port.moving_to) != (row.host, "")


def _places(port: Port) -> str:
    return (port.binding_host or "no host") + (f", on its way to {port.moving_to}" if port.moving_to else "")


def _leaked(port: Port, target: UUID | None) -> Finding:
    device: Any = port.device_id
    return Finding(
        code=LEAKED,
        objects={"port": str(port.pk), "instance": port.device_id, "host": port.binding_host},
        detail=f"Port {port.pk} ({port.mac}) is plugged into {port.device_id or 'nothing'}, which is no instance.",
        concerns=frozenset({target} if target else ()),
        fix=InTransaction(work=partial(_release, port.pk, device)),
    )


def _release(port: UUID, device: UUID) -> bool:
    is_there = Port.objects.filter(pk=port, device_id=str(device)).exists()
    networks.release_ports(instance_id=device)
    Port.objects.filter(pk=port, device_id=str(device), made_by__isnull=False).delete()
    return is_there


def _bind(instance_id: UUID, host: str) -> bool:
    row = Instance.objects.select_for_update().filter(pk=instance_id, host=host, deleted_at=None).first()
    if row is None:
        return False
    networks.move_ports(instance_id=instance_id, to_host=host, action_id=uuid4())
    bind_to_host(instance_id=instance_id, host=host)
    return True
