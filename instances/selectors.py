"""Reads: what a caller may see of instances, flavors and key pairs, and what the API shows beside an instance."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

from django.core.cache import cache
from django.db.models import Exists, Max, OuterRef, Q, QuerySet

from cloud.api.policy import Caller
from cloud.errors import NotFound
from cloud.workflow.models import Action, Service
from instances.models import Fault, Flavor, FlavorAccess, Instance, KeyPair
from scheduling.models import ComputeNode


class InstanceNotFound(NotFound):
    """No such instance, or another project's."""

    code = "instance.not_found"


class FlavorNotFound(NotFound):
    """No such flavor, or none that the caller may use."""

    code = "flavor.not_found"


class KeyPairNotFound(NotFound):
    """The user has no key pair of that name."""

    code = "keypair.not_found"


# --- instances --------------------------------------------------------------------------------------------------------


def visible_instances(caller: Caller) -> QuerySet[Instance]:
    """What the caller may read by id, deleted ones too while their rows are kept: its project's; all for an admin."""
    rows = Instance.objects.order_by()
    return rows if caller.is_admin else rows.filter(project_id=caller.project_id or "")


def instance_key(text: str) -> UUID | None:
    """An id as URLs carry it; None for anything else, names of 32 hex digits included."""
    try:
        key = UUID(text)
    except ValueError:
        return None
    return key if str(key) == text.lower() else None


def instance_rows(caller: Caller, instance_id: str, *, with_deleted: bool = False) -> QuerySet[Instance]:
    """The one row of that id, if the caller may see it."""
    key = instance_key(instance_id)
    if key is None:
        raise no_such_instance(instance_id)
    rows = visible_instances(caller).filter(pk=key)
    return rows if with_deleted else rows.filter(deleted_at=None)


def instance_for(caller: Caller, instance_id: str, *, with_deleted: bool = False) -> Instance:
    """The instance; InstanceNotFound for names and for other projects' too."""
    row = instance_rows(caller, instance_id, with_deleted=with_deleted).first()
    if row is None:
        raise no_such_instance(instance_id)
    return row


def no_such_instance(instance_id: object) -> InstanceNotFound:
    """The error for an id that leads nowhere."""
    return InstanceNotFound(f"Instance {str(instance_id)[:80]} could not be found.")


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What the API shows to admins of an instance's host."""

    hypervisor_hostname: str
    status: str  # UP, DOWN, MAINTENANCE, UNKNOWN


def hosts_of(names: Iterable[str], *, with_status: bool) -> dict[str, HostFacts]:
    """Facts by host name. One query for the status, one for hosts that were not asked for in the last minute."""
    wanted = {name for name in names if name}
    if not wanted:
        return {}
    nodes = _hypervisors(wanted)
    statuses = _host_statuses(wanted) if with_status else {}
    return {
        name: HostFacts(hypervisor_hostname=nodes.get(name) or name, status=statuses.get(name, "UNKNOWN"))
        for name in wanted
    }


def _hypervisors(names: Collection[str]) -> dict[str, str]:
    """Hypervisor names by host. They are what an admin's every GET shows and what never changes: kept for a minute."""
    keys = {f"instances.hypervisor.{name}": name for name in names}
    found = {keys[key]: kept for key, kept in cache.get_many(list(keys)).items()}
    missing = [name for name in names if name not in found]
    if missing:
        read = dict(ComputeNode.objects.filter(host__in=missing).values_list("host", "hypervisor_hostname"))
        cache.set_many({f"instances.hypervisor.{name}": kept for name, kept in read.items()}, timeout=60)
        found |= read
    return found


def _host_statuses(names: Collection[str]) -> dict[str, str]:
    rows = Service.objects.filter(binary="nova-compute", host__in=names)
    return {row.host: "MAINTENANCE" if row.is_disabled else "UP" if row.is_up else "DOWN" for row in rows}


def latest_faults(instance_ids: Collection[UUID]) -> dict[UUID, Fault]:
    """The fault that counts of each instance that has one. One query."""
    if not instance_ids:
        return {}
    latest = Fault.objects.filter(instance_id__in=instance_ids).order_by().values("instance_id")
    rows = Fault.objects.filter(pk__in=latest.annotate(latest=Max("pk")).values("latest"))
    return {row.instance_id: row for row in rows}


def actions_of(instance: Instance) -> QuerySet[Action]:
    """The actions on an instance, newest first."""
    return Action.objects.filter(target_type="instance", target_id=instance.pk).order_by("-created_at", "-id")


# --- flavors ----------------------------------------------------------------------------------------------------------


def flavors_for(caller: Caller) -> QuerySet[Flavor]:
    """What the caller may use and see: all for an admin, else public flavors and those given to its project."""
    if caller.is_admin:
        return Flavor.objects.all()
    return Flavor.objects.filter(public_or_given(caller))


def public_or_given(caller: Caller) -> Q:
    """Public, or given to the caller's project."""
    given = FlavorAccess.objects.filter(flavor=OuterRef("pk"), project_id=caller.project_id or "")
    return Q(is_public=True) | Q(Exists(given))


def flavor_for(caller: Caller, flavorid: str) -> Flavor:
    """The flavor of the id that users see, or FlavorNotFound."""
    row = flavors_for(caller).filter(flavorid=flavorid).first()
    if row is None:
        raise FlavorNotFound(f"Flavor {flavorid[:80]} could not be found.")
    return row


# --- key pairs --------------------------------------------------------------------------------------------------------


def keypair_for(user_id: str, name: str) -> KeyPair:
    """The user's key pair of that name, or KeyPairNotFound."""
    row = KeyPair.objects.filter(user_id=user_id, name=name).first()
    if row is None:
        raise KeyPairNotFound(f"Keypair {name[:80]} not found for user {user_id}")
    return row
