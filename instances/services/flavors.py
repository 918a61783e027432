"""Flavors: made, described, given to projects, removed. Instances keep a copy, so a removed flavor breaks none."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.utils import timezone

from cloud.api.policy import Caller, require_admin
from cloud.errors import Conflict, NotFound
from instances.models import Flavor, FlavorAccess


class FlavorExists(Conflict):
    """The name or the id is taken."""

    code = "flavor.exists"


class FlavorAccessConflict(Conflict):
    """The flavor is public, or the project has access already."""

    code = "flavor.access_conflict"


class FlavorAccessNotFound(NotFound):
    """The project has no access to the flavor."""

    code = "flavor.access_not_found"


class ExtraSpecNotFound(NotFound):
    """The flavor has no extra spec of that key."""

    code = "flavor.extra_spec_not_found"


@dataclass(frozen=True, kw_only=True)
class NewFlavor:
    """A flavor to be made. `flavorid` None or "auto": a fresh one."""

    name: str
    memory_mib: int
    vcpus: int
    disk_gib: int
    ephemeral_gib: int = 0
    swap_mib: int = 0
    rxtx_factor: float = 1.0
    is_public: bool = True
    description: str | None = None
    flavorid: str | None = None


def create_flavor(*, caller: Caller, flavor: NewFlavor) -> Flavor:
    """A new flavor. FlavorExists when its name or id is taken."""
    require_admin(caller, "creating flavors")
    flavorid = flavor.flavorid if flavor.flavorid not in (None, "auto") else str(uuid.uuid4())
    row = Flavor(
        flavorid=flavorid,
        name=flavor.name,
        description=flavor.description,
        memory_mib=flavor.memory_mib,
        vcpus=flavor.vcpus,
        disk_gib=flavor.disk_gib,
        ephemeral_gib=flavor.ephemeral_gib,
        swap_mib=flavor.swap_mib,
        rxtx_factor=flavor.rxtx_factor,
        is_public=flavor.is_public,
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        if Flavor.objects.filter(flavorid=row.flavorid).exists():
            raise FlavorExists(f"Flavor with ID {row.flavorid} already exists.") from None
        raise FlavorExists(f"Flavor with name {row.name} already exists.") from None
    return row


def describe_flavor(*, caller: Caller, flavor: Flavor, description: str | None) -> Flavor:
    """Changes the description, the one thing of a flavor that may change."""
    require_admin(caller, "changing flavors")
    flavor.description, flavor.updated_at = description, timezone.now()
    flavor.save(update_fields=["description", "updated_at"])
    return flavor


def delete_flavor(*, caller: Caller, flavor: Flavor) -> None:
    """The flavor is gone; instances made from it keep their copy."""
    require_admin(caller, "deleting flavors")
    flavor.delete()


# --- extra specs ------------------------------------------------------------------------------------------------------


def set_extra_specs(*, caller: Caller, flavor: Flavor, specs: dict[str, str]) -> dict[str, str]:
    """Adds the specs, replacing those of the same key; gives all."""
    require_admin(caller, "changing the extra specs of a flavor")
    with transaction.atomic():
        row = Flavor.objects.select_for_update().get(pk=flavor.pk)
        row.extra_specs = {**row.extra_specs, **specs}
        row.updated_at = timezone.now()
        row.save(update_fields=["extra_specs", "updated_at"])
    return dict(row.extra_specs)


def delete_extra_spec(*, caller: Caller, flavor: Flavor, key: str) -> None:
    """Takes one spec away. ExtraSpecNotFound when there is none."""
    require_admin(caller, "changing the extra specs of a flavor")
    with transaction.atomic():
        row = Flavor.objects.select_for_update().get(pk=flavor.pk)
        if key not in row.extra_specs:
            raise no_such_spec(flavor, key)
        row.extra_specs = {name: value for name, value in row.extra_specs.items() if name != key}
        row.updated_at = timezone.now()
        row.save(update_fields=["extra_specs", "updated_at"])


def no_such_spec(flavor: Flavor, key: str) -> ExtraSpecNotFound:
    """The error for a key that the flavor does not have."""
    return ExtraSpecNotFound(f"Flavor {flavor.flavorid} has no extra specs with key {key[:80]}.", key=key[:80])


# --- access -----------------------------------------------------------------------------------------------------------


def add_access(*, caller: Caller, flavor: Flavor, project_id: str) -> None:
    """Lets a project use a flavor that is not public."""
    require_admin(caller, "giving access to a flavor")
    if flavor.is_public:
        raise FlavorAccessConflict("Can not add access to a public flavor.")
    try:
        with transaction.atomic():
            FlavorAccess.objects.create(flavor=flavor, project_id=project_id)
    except IntegrityError:
        raise FlavorAccessConflict(
            f"Flavor access already exists for flavor {flavor.flavorid} and project {project_id} combination."
        ) from None


def remove_access(*, caller: Caller, flavor: Flavor, project_id: str) -> None:
    """Takes a project's use of a flavor away."""
    require_admin(caller, "taking access to a flavor")
    removed, _ = FlavorAccess.objects.filter(flavor=flavor, project_id=project_id).delete()
    if not removed:
        raise FlavorAccessNotFound(
            f"Flavor access not found for {flavor.flavorid} / {project_id} combination.", project=project_id[:80]
        )
