"""Where a boot asks to go: a zone, or, from an admin, a host by name."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from cloud.api.policy import Caller, require_admin
from cloud.errors import BadRequest
from scheduling.models import ComputeNode


class UnknownZone(BadRequest):
    """The boot names an availability zone that no host is in."""

    code = "zone.unknown"


class UnknownHost(BadRequest):
    """The boot names a host that is no compute host."""

    code = "host.unknown"


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where a boot is to go. `zone` None: any; `host` and `hypervisor_hostname` "": the scheduler chooses."""

    zone: str | None = None
    host: str = ""
    hypervisor_hostname: str = ""


def resolve_destination(
    caller: Caller, *, zone: str | None, host: str | None, hypervisor_hostname: str | None
) -> Destination:
    """The destination, with all that it names known. `zone` may be an admin's "zone:host:node".

    Raises Forbidden when a host is named by somebody else, UnknownZone, UnknownHost, and BadRequest for contradictions.
    """
    parts = (zone or "").split(":")
    if len(parts) > 3:
        raise BadRequest(f"Invalid availability_zone {zone!r}: it is 'zone', 'zone:host' or 'zone:host:node'.")
    name, by_zone_host, by_zone_node = (*parts, "", "")[:3]
    if (by_zone_host or by_zone_node) and (host or hypervisor_hostname):
        raise BadRequest(
            f"Host in availability_zone {zone!r} and in host or hypervisor_hostname: name it in one of them."
        )
    if by_zone_host or by_zone_node:
        require_admin(caller, "creating a server on a named host")
    if host or hypervisor_hostname:
        require_admin(caller, "creating a server on a requested destination")
    wanted = Destination(
        zone=name or None,
        host=host or by_zone_host,
        hypervisor_hostname=hypervisor_hostname or by_zone_node,
    )
    _check_zone(wanted)
    _check_host(wanted)
    return wanted


def _check_zone(wanted: Destination) -> None:
    if wanted.zone is None or wanted.zone == settings.DEFAULT_AVAILABILITY_ZONE:
        return
    if not ComputeNode.objects.filter(zone=wanted.zone).exists():
        raise UnknownZone(
            f"The requested availability zone {wanted.zone[:80]!r} is not available: no host is in it.",
            field="availability_zone",
            value=wanted.zone[:80],
        )


def _check_host(wanted: Destination) -> None:
    if not wanted.host and not wanted.hypervisor_hostname:
        return
    nodes = ComputeNode.objects.all()
    if wanted.host:
        nodes = nodes.filter(host=wanted.host)
    if wanted.hypervisor_hostname:
        nodes = nodes.filter(hypervisor_hostname=wanted.hypervisor_hostname)
    if not nodes.exists():
        named = " with hypervisor ".join(part for part in (wanted.host, wanted.hypervisor_hostname) if part)
        raise UnknownHost(f"Compute host {named[:160]} could not be found.", field="host", value=named[:160])
