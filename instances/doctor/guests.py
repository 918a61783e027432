"""Findings about domains: nobody's, missing, on another host than the row says, on two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from cloud.networks import services as networks
from hypervisor.holdings import DomainFound
from instances.doctor.finding import Clearing, Code, Finding, InTransaction, Restoring
from instances.doctor.look import Look
from instances.models import Instance
from instances.states import STATES_WITH_GUEST, PowerState, VmState
from scheduling.corrections import hold_there
from scheduling.selectors import zones_of

ORPHAN = Code(
    name="guest.orphan",
    finds="a host has a domain of this cloud whose instance is deleted, or known to nobody",
    danger="It takes memory that is given to others, and may use addresses and disks that are.",
    repair="The domain is ended and undefined. What its disk is comes as a finding of its own.",
    is_safe=True,
)
UNSIGNED = Code(
    name="guest.unsigned",
    finds="a host has a domain named as an instance's that does not carry the cloud's mark",
    danger="The cloud neither sees nor ends it, and cannot make a guest of that id there.",
    repair="Somebody defined it by hand: `virsh undefine` it, and hard reboot the instance if there is one.",
)
MISSING = Code(
    name="guest.missing",
    finds="an instance should have a domain on its host, has its disk there, and no domain",
    danger="It does not run, whatever its state says.",
    repair="An action of the doctor makes the domain anew, on the disk; it runs if the instance is to run.",
    is_safe=True,
)
WRONG_HOST = Code(
    name="guest.wrong_host",
    finds="an instance's only domain, and its disk, are on another host than its row says",
    danger="Verbs go to a host that has nothing of it, which would take what is on the other for a leftover.",
    repair="The row follows the guest: its host, its room and its ports are where the guest is.",
    is_safe=True,
)
LEFT_BEHIND = Code(
    name="guest.left_behind",
    finds="beside an instance's domain on its own host another host has one that is off",
    danger="Started by hand it would write to the same disk, or run with the same addresses.",
    repair="The domain that is off is undefined; no disk is touched.",
    is_safe=True,
)
TWICE = Code(
    name="guest.twice",
    finds="a domain of an instance is on where its row does not say so, and which one is right is not clear",
    danger="Two guests may write to one disk, or use one address.",
    repair="Find out which one is the user's; end the other with virsh, and run this again.",
)
CODES = (ORPHAN, UNSIGNED, MISSING, WRONG_HOST, LEFT_BEHIND, TWICE)
_OFF = (PowerState.SHUTDOWN, PowerState.CRASHED, PowerState.NOSTATE)


def findings(look: Look) -> Iterator[Finding]:
    """All of this family."""
    for host, holdings in look.hosts.items():
        for domain in holdings.domains:
            if not domain.is_ours:
                yield Finding(
                    code=UNSIGNED,
                    objects={"host": host, "domain": domain.name, "instance": domain.instance_id},
                    detail=f"Host {host} has domain {domain.name}, which nobody signed.",
                    concerns=frozenset({UUID(domain.instance_id)}),
                )
    for target, by_host in look.domains.items():
        if target in look.instances:
            yield from _of_instance(look, look.instances[target], by_host)
        else:
            yield from _orphans(look, target, by_host)
    yield from _missing(look)


def _orphans(look: Look, target: UUID, by_host: Mapping[str, DomainFound]) -> Iterator[Finding]:
    known = "is deleted" if target in look.deleted else "is not known"
    for host, domain in by_host.items():
        yield Finding(
            code=ORPHAN,
            objects=_objects(host, domain),
            detail=f"Host {host} has domain {domain.name} ({_power(domain)}), and its instance {known}.",
            concerns=frozenset({target}),
            fix=Clearing(target=target, host=host, domain=True),
        )


def _of_instance(look: Look, row: Instance, by_host: Mapping[str, DomainFound]) -> Iterator[Finding]:
    places = look.may_be_on(row.pk)
    for host in sorted(set(by_host) - places):
        domain = by_host[host]
        common: dict[str, Any] = {"objects": _objects(host, domain), "concerns": frozenset({row.pk})}
        seen = f"Host {host} has domain {domain.name} ({_power(domain)})"
        if look.astray.get(row.pk) == host:
            yield Finding(
                code=WRONG_HOST,
                **common,
                detail=f"{seen}, and the row says host {row.host}, which has none.",
                fix=InTransaction(work=partial(_follow, row, domain, host)),
            )
        elif domain.power_state in _OFF and places & set(by_host):
            yield Finding(
                code=LEFT_BEHIND,
                **common,
                detail=f"{seen}, and the instance has its own on {row.host}.",
                fix=Clearing(target=row.pk, host=host, domain=True),
            )
        else:
            yield Finding(code=TWICE, **common, detail=f"{seen}, and the row says {row.host or 'no host'}.")


def _missing(look: Look) -> Iterator[Finding]:
    for row in look.settled():
        has_domain = bool(look.domains.get(row.pk))
        if row.vm_state in STATES_WITH_GUEST and not has_domain and look.has_disk(row.pk, row.host):
            yield Finding(
                code=MISSING,
                objects={"instance": str(row.pk), "host": row.host, "vm_state": row.vm_state},
                detail=f"Instance {row.pk} is {row.vm_state} on host {row.host}, which has no domain of it.",
                concerns=frozenset({row.pk}),
                fix=Restoring(instance=row.pk),
            )


def _follow(row: Instance, domain: DomainFound, host: str) -> bool:
    """The row, its room and its ports are on `host`."""
    found = Instance.objects.select_for_update().filter(pk=row.pk, deleted_at=None, host=row.host).first()
    if found is None:
        return False
    found.host, found.availability_zone = host, zones_of([host]).get(host, "")
    # A host that reported it missing made it STOPPED, though nobody stopped it.
    is_on = domain.power_state not in _OFF
    if is_on and found.vm_state == VmState.STOPPED and found.power_state == PowerState.NOSTATE:
        found.vm_state = VmState.ACTIVE
    found.power_state = domain.power_state
    found.save(update_fields=["host", "availability_zone", "vm_state", "power_state"])
    hold_there(
        row.pk,
        host,
        project_id=found.project_id,
        vcpus=found.vcpus,
        memory_mib=found.memory_mib,
        disk_gib=found.disk_gib + found.ephemeral_gib,
        action_id=uuid4(),
    )
    networks.move_ports(instance_id=row.pk, to_host=host, action_id=uuid4())
    return True


def _objects(host: str, domain: DomainFound) -> dict[str, str]:
    return {"host": host, "domain": domain.name, "instance": domain.instance_id}


def _power(domain: DomainFound) -> str:
    return PowerState(domain.power_state).name.lower()
