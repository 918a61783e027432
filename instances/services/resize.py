"""`resize` and `migrate`, `confirmResize` and `revertResize`: moves of a guest at rest."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import transaction
from django.utils import timezone

from cloud.api.policy import Caller
from cloud.errors import BadRequest
from cloud.images.models import Image
from cloud.workflow.models import Action
from instances import quotas
from instances.models import Flavor, Instance, Migration, MigrationStatus, MigrationType
from instances.services.boot_checks import ImageTooLarge, flavor_for_boot
from instances.services.move_checks import check_destination, require_host_up
from instances.services.verb import check_verb, start_verb
from instances.sizes import size_in, size_of


class SameFlavor(BadRequest):
    """A resize to the flavor that the instance has."""

    code = "flavor.unchanged"


class DiskShrinks(BadRequest):
    """The new flavor's disk is smaller than the one that the instance has."""

    code = "flavor.disk_too_small"


class NotResized(BadRequest):
    """Nothing waits to be confirmed or reverted."""

    code = "migration.none_waits"


def resize_instance(*, caller: Caller, instance: Instance, flavor_id: str, disk_config: str | None = None) -> Action:
    """Gives the instance another flavor, here or elsewhere; it waits then to be confirmed or reverted.

    Raises what `check_verb` raises, BadRequest for a flavor that is unknown, the same, or has a smaller disk,
    QuotaExceeded for what it needs more, HostUnavailable (409) while its host is down.
    """
    check_verb(caller=caller, instance=instance, verb="resize")
    flavor = flavor_for_boot(caller, flavor_id)
    _check_size(instance, flavor)
    require_host_up(instance.host)
    with transaction.atomic():
        quotas.take_more(
            project_id=instance.project_id,
            vcpus=flavor.vcpus - instance.vcpus,
            memory_mib=flavor.memory_mib - instance.memory_mib,
        )
        new = size_in(flavor, disk_config or instance.disk_config)
        return _start(caller, instance, "resize", MigrationType.RESIZE, new)


def migrate_instance(*, caller: Caller, instance: Instance, host: str | None = None) -> Action:
    """Moves the instance, at rest, to another host: the named one, or the one that the scheduler chooses.

    Raises what `check_verb` raises, BadRequest for a named host that cannot take it, saying why, HostUnavailable (409)
    while its own host is down.
    """
    check_verb(caller=caller, instance=instance, verb="migrate")
    require_host_up(instance.host)
    size = size_of(instance)
    if host is not None:
        check_destination(_migration(caller, instance, MigrationType.MIGRATION, size, host), host)
    with transaction.atomic():
        return _start(caller, instance, "migrate", MigrationType.MIGRATION, size, host)


def confirm_resize(*, caller: Caller, instance: Instance) -> Action:
    """Discards what the instance was before its resize or cold migration. Errors: NotResized, see `start_verb`."""
    return _finish(caller, instance, "confirmResize", "confirm_resize", MigrationStatus.CONFIRMING)


def revert_resize(*, caller: Caller, instance: Instance) -> Action:
    """Takes a resize or cold migration back. Errors: NotResized, HostUnavailable (409) while the host that it goes back
    to is down, see `start_verb`."""
    return _finish(caller, instance, "revertResize", "revert_resize", MigrationStatus.REVERTING)


def _check_size(instance: Instance, flavor: Flavor) -> None:
    if flavor.flavorid == instance.flavor_id:
        raise SameFlavor("When resizing, instances must change flavor!", field="flavorRef", value=flavor.flavorid)
    for what, old, new in (
        ("disk", instance.disk_gib, flavor.disk_gib),
        ("ephemeral disk", instance.ephemeral_gib, flavor.ephemeral_gib),
    ):
        if new < old:
            raise DiskShrinks(
                f"Resize to flavor {flavor.name} is not allowed: its {what} has {new} GiB, the instance has {old} GiB, "
                "and a disk does not shrink.",
                field="flavorRef",
                value=flavor.flavorid,
            )
    image = Image.objects.filter(pk=instance.image_id).first() if instance.image_id else None
    if image is not None and flavor.memory_mib < image.min_ram:
        raise ImageTooLarge(
            f"Flavor's memory is too small for requested image: flavor {flavor.name} has {flavor.memory_mib} MiB, "
            f"image {image.pk} needs {image.min_ram} MiB."
        )


def _migration(
    caller: Caller, instance: Instance, kind: str, size: dict[str, Any], host: str | None = None
) -> Migration:
    """The row of a move, not saved."""
    return Migration(
        uuid=uuid.uuid4(),
        instance=instance,
        type=kind,
        project_id=instance.project_id,
        user_id=caller.user_id,
        source_host=instance.host,
        old_flavor_id=instance.flavor_id,
        new_flavor_id=size["flavor_id"],
        details={"old": size_of(instance), "new": size, "vm_state": instance.vm_state, "host": host},
    )


def _start(
    caller: Caller, instance: Instance, verb: str, kind: str, size: dict[str, Any], host: str | None = None
) -> Action:
    """Starts the verb with its migration. The row is read again: the caller's may be older than the action."""
    migration = _migration(caller, instance, kind, size, host)
    action = start_verb(caller=caller, instance=instance, verb=verb, parameters={"migration": str(migration.uuid)})
    now = Instance.objects.get(pk=instance.pk)
    migration.source_host, migration.action_id = now.host, action.pk
    migration.details = {**migration.details, "old": size_of(now), "vm_state": now.vm_state}
    migration.save(force_insert=True)
    return action


def _finish(caller: Caller, instance: Instance, verb: str, operation: str, status: str) -> Action:
    check_verb(caller=caller, instance=instance, verb=verb)
    migration = Migration.objects.filter(instance=instance, status=MigrationStatus.FINISHED).first()
    if migration is None:
        raise NotResized("Instance has not been resized.", instance=str(instance.pk))
    if status == MigrationStatus.REVERTING:
        require_host_up(migration.source_host)
        require_host_up(migration.destination_host)
    with transaction.atomic():
        parameters = {"migration": str(migration.uuid)}
        action = start_verb(caller=caller, instance=instance, verb=verb, operation=operation, parameters=parameters)
        Migration.objects.filter(pk=migration.pk).update(status=status, updated_at=timezone.now())
    return action
