"""What a project may have, what it has, and the one place where both are compared.

Two requests of one project are counted one after the other: `take` locks the project's row in identity until the end
of the transaction that writes the instances (SQLite: the transaction is the only writer anyway).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Sum

from cloud.errors import BadRequest, QuotaExceeded
from cloud.identity.models import Project, User
from instances.models import Instance, KeyPair, Migration, MigrationStatus, MigrationType, Quota, QuotaClass

UNLIMITED: Final = -1
DEFAULT_CLASS: Final = "default"
MAX_LIMIT: Final = 2_147_483_647

# Resource → limit of a project that nobody changed; settings.QUOTA_DEFAULTS overrides single ones.
DEFAULTS: Final[Mapping[str, int]] = {
    "instances": 10,
    "cores": 20,
    "ram": 51_200,  # MiB
    "metadata_items": 128,
    "key_pairs": 100,
    "server_groups": 10,
    "server_group_members": 10,
    "injected_files": 5,
    "injected_file_content_bytes": 10_240,
    "injected_file_path_bytes": 255,
    "fixed_ips": UNLIMITED,
    "floating_ips": UNLIMITED,
    "security_groups": UNLIMITED,
    "security_group_rules": UNLIMITED,
}


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What the live instances of a project take. Memory in MiB."""

    instances: int = 0
    cores: int = 0
    ram: int = 0

    def of(self, resource: str) -> int:
        """The use of one resource; 0 for those that are not counted per project."""
        return int(getattr(self, resource, 0))


# --- limits -----------------------------------------------------------------------------------------------------------


def class_limits(name: str = DEFAULT_CLASS) -> dict[str, int]:
    """The limits of a project without its own: the defaults, as changed by settings and by operators."""
    changed = dict(QuotaClass.objects.filter(name=name).values_list("resource", "limit"))
    return _known({**DEFAULTS, **getattr(settings, "QUOTA_DEFAULTS", {}), **changed})


def limits(project_id: str) -> dict[str, int]:
    """The limits of a project, all resources. Two queries."""
    own = dict(Quota.objects.filter(project_id=project_id).values_list("resource", "limit"))
    return _known({**class_limits(), **own})


def _known(wanted: Mapping[str, int]) -> dict[str, int]:
    return {resource: wanted[resource] for resource in DEFAULTS}


@transaction.atomic
def set_limits(*, project_id: str, wanted: Mapping[str, int], force: bool = False) -> None:
    """Changes limits of a project. BadRequest for a limit below what is used already, unless forced."""
    if not force:
        used = usage(project_id)
        for resource, limit in wanted.items():
            if limit != UNLIMITED and limit < used.of(resource):
                raise BadRequest(
                    f"Quota limit {limit} for {resource} must be greater than or equal to already used and reserved "
                    f"{used.of(resource)}.",
                    field=resource,
                )
    for resource, limit in wanted.items():
        Quota.objects.update_or_create(project_id=project_id, resource=resource, defaults={"limit": limit})


@transaction.atomic
def set_class_limits(*, name: str, wanted: Mapping[str, int]) -> None:
    """Changes the limits of every project without its own."""
    for resource, limit in wanted.items():
        QuotaClass.objects.update_or_create(name=name, resource=resource, defaults={"limit": limit})


def reset_limits(*, project_id: str) -> None:
    """The project has the defaults again."""
    Quota.objects.filter(project_id=project_id).delete()


# --- use --------------------------------------------------------------------------------------------------------------


def usage(project_id: str) -> Usage:
    """What the project's instances that are not deleted take, and what resizes under way will. Two queries."""
    found = (
        Instance.objects.filter(project_id=project_id, deleted_at=None)
        .order_by()
        .aggregate(instances=Count("pk"), cores=Sum("vcpus"), ram=Sum("memory_mib"))
    )
    cores, ram = found["cores"] or 0, found["ram"] or 0
    under_way = Migration.objects.filter(
        project_id=project_id,
        type=MigrationType.RESIZE,
        status__in=[MigrationStatus.ACCEPTED, MigrationStatus.MIGRATING],
        instance__deleted_at=None,
    )
    for details in under_way.order_by().values_list("details", flat=True):
        old, new = details["old"], details["new"]
        cores += max(new["vcpus"] - old["vcpus"], 0)
        ram += max(new["memory_mib"] - old["memory_mib"], 0)
    return Usage(instances=found["instances"], cores=cores, ram=ram)


def take(*, project_id: str, minimum: int, maximum: int, vcpus: int, memory_mib: int) -> int:
    """How many instances of that size the project may have now: at most `maximum`.

    Call it in the transaction that writes them; the project is locked until that ends. Raises QuotaExceeded when not
    even `minimum` of them fit.
    """
    list(Project.objects.select_for_update(no_key=True).filter(pk=project_id).values_list("pk"))
    allowed, used = limits(project_id), usage(project_id)
    each = {"cores": vcpus, "instances": 1, "ram": memory_mib}
    fits = maximum
    for resource, size in each.items():
        if allowed[resource] != UNLIMITED and size > 0:
            fits = min(fits, max(0, allowed[resource] - used.of(resource)) // size)
    if fits >= minimum:
        return fits
    over = [
        resource
        for resource, size in each.items()
        if allowed[resource] != UNLIMITED and used.of(resource) + size * minimum > allowed[resource]
    ]
    raise _exceeded(over, {resource: size * minimum for resource, size in each.items()}, used, allowed)


def take_more(*, project_id: str, vcpus: int, memory_mib: int) -> None:
    """Checks that an instance of the project may have so much more; negative: it gets less, which is always allowed.

    Call it in the transaction that writes the change; the project is locked until that ends. Raises QuotaExceeded.
    """
    list(Project.objects.select_for_update(no_key=True).filter(pk=project_id).values_list("pk"))
    allowed, used = limits(project_id), usage(project_id)
    more = {resource: amount for resource, amount in {"cores": vcpus, "ram": memory_mib}.items() if amount > 0}
    over = [
        resource
        for resource, amount in more.items()
        if allowed[resource] != UNLIMITED and used.of(resource) + amount > allowed[resource]
    ]
    if over:
        raise _exceeded(over, more, used, allowed)


def _exceeded(over: list[str], requested: Mapping[str, int], used: Usage, allowed: Mapping[str, int]) -> QuotaExceeded:
    wanted = ", ".join(str(requested[resource]) for resource in over)
    taken = ", ".join(str(used.of(resource)) for resource in over)
    limit = ", ".join(str(allowed[resource]) for resource in over)
    names = ", ".join(over)
    return QuotaExceeded(
        f"Quota exceeded for {names}: Requested {wanted}, but already used {taken} of {limit} {names}", resources=over
    )


def check_metadata(project_id: str, metadata: Mapping[str, str]) -> None:
    """QuotaExceeded when an instance would have more metadata items than the project may give one."""
    if len(metadata) <= 1:
        return
    limit = limits(project_id)["metadata_items"]
    if limit != UNLIMITED and len(metadata) > limit:
        raise QuotaExceeded(f"Maximum number of metadata items exceeds {limit}", resources=["metadata_items"])


def take_key_pair(*, project_id: str | None, user_id: str) -> None:
    """QuotaExceeded when the user has as many key pairs as allowed. The user's row is locked for the transaction."""
    list(User.objects.select_for_update(no_key=True).filter(pk=user_id).values_list("pk"))
    limit = limits(project_id or "")["key_pairs"]
    if limit != UNLIMITED and KeyPair.objects.filter(user_id=user_id).count() >= limit:
        raise QuotaExceeded("Quota exceeded, too many key pairs.", resources=["key_pairs"])
