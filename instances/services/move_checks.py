"""What is checked of hosts before a move begins; changes nothing."""

from __future__ import annotations

from cloud.errors import BadRequest, Conflict
from cloud.workflow.models import Host
from instances.models import Migration
from instances.services.boot_placement import UnknownHost
from instances.steps.moving import move_spec
from scheduling.explain import NoValidHost
from scheduling.scheduler import select_hosts
from scheduling.selectors import host_exists


class HostUnavailable(Conflict):
    """A host that must give something up or take it back is down."""

    code = "host.unavailable"


class UnusableHost(BadRequest):
    """The host that was named cannot take the instance."""

    code = "host.unusable"


def require_host_up(host: str) -> None:
    """HostUnavailable while the engine does not hear of the host."""
    if not Host.objects.filter(name=host, is_up=True, service__is_forced_down=False).exists():
        raise HostUnavailable(f"Host {host} is down: nothing can be moved from it or back to it now.", host=host)


def check_destination(migration: Migration, host: str) -> None:
    """The named host exists, is another one than the instance is on, is up and enabled, and has the room; or an error
    that says which of it is not so."""
    if not host_exists(host):
        raise UnknownHost(f"Compute host {host[:80]} could not be found.", field="host", value=host[:80])
    if host == migration.source_host:
        raise UnusableHost(f"Cannot migrate to the host where the server exists: {host}.", field="host", value=host)
    service = Host.objects.select_related("service").filter(name=host).first()
    if service is not None and service.service.is_disabled:
        reason = service.service.disabled_reason or "no reason given"
        raise UnusableHost(f"The compute service of host {host} is disabled: {reason}.", field="host", value=host)
    try:
        select_hosts(move_spec(migration, {}))
    except NoValidHost as refusal:
        raise UnusableHost(refusal.message, field="host", **{"value": host, **refusal.context}) from None
