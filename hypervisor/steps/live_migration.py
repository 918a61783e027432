"""The steps of a live migration. The source's are `check_source`, `migrate_guest` and `forget_source`, the others the
destination's. `claim_destination`, a step of the conductor, says which host that is and how the disk gets there.
"""

from __future__ import annotations

from typing import Any

from hypervisor.driver import BaseImage, Migration
from hypervisor.migration import CopyPlan, MigrationOrder, MigrationRefused, MigrationSource, Wish
from hypervisor.spec import decode, encode
from hypervisor.steps.declare import Role, StepHost, host_step
from hypervisor.steps.power import power_state_of


def migration_of(step: StepHost) -> Migration:
    """The driver's facet. Errors: MigrationRefused, when it has none."""
    if step.driver.migration is None:
        raise MigrationRefused(f"the driver {step.driver.name} cannot migrate running guests")
    return step.driver.migration


def source_of(step: StepHost) -> MigrationSource:
    """What the source said of the guest."""
    return decode(MigrationSource, step.outputs["check_source"])


def is_shared(step: StepHost) -> bool:
    """Source and destination see the same instance files, which are not the destination's to make or to remove."""
    return bool(step.outputs["claim_destination"]["is_shared"])


def order_of(step: StepHost) -> MigrationOrder:
    """How the guest is to go."""
    claimed = step.outputs["claim_destination"]
    copy = (step.outputs.get("prepare_disk") or {}).get("copy", CopyPlan.NONE)
    said = {
        "destination": claimed["host"],
        "destination_ip": claimed["host_ip"],
        "copy": copy,
        "is_paused": bool(step.inputs["is_paused"]),
    }
    return decode(MigrationOrder, {**step.inputs["options"], **said})


@host_step(Role.SOURCE, no_undo="it changes nothing")
def check_source(step: StepHost) -> dict[str, Any]:
    """What the destination has to know of the guest; it is on here."""
    return encode(migration_of(step).describe(step.target_id))


@host_step(Role.DESTINATION, no_undo="it changes nothing")
def check_destination(step: StepHost) -> None:
    """Nothing, when this host can take the guest over: CPU, hypervisor, storage."""
    migration_of(step).check(step.the_guest(), source_of(step), is_shared=is_shared(step))


@host_step(Role.DESTINATION, no_undo="the cache of base images is shared; what nobody uses is pruned", cancellable=True)
def fetch_base(step: StepHost) -> dict[str, Any]:
    """After it the image that the guest's disk stands on is in this host's cache; nothing for a disk on its own."""
    source, image = source_of(step), step.the_guest().image
    if not source.backing:
        return {}
    if not image.sha512 and not is_shared(step):
        return {}  # the image is long forgotten: the whole disk is copied
    base = step.driver.images.fetch(image, step.progress)
    return {"path": base.path, "disk_format": base.disk_format, "virtual_size_bytes": base.virtual_size_bytes}


def delete_prepared_disk(step: StepHost) -> None:
    """After it nothing is left of the disk that this action made here. Shared storage holds the guest's own disk, which
    it did not make, and which stays."""
    if not is_shared(step) and not step.keeps_files:
        step.driver.disks.delete(step.target_id, step.maker)


@host_step(Role.DESTINATION, undo=delete_prepared_disk)
def prepare_disk(step: StepHost) -> dict[str, Any]:
    """After it there is a disk for the guest's to be copied into, and its config drive; on shared storage both are."""
    if is_shared(step):
        return {"copy": CopyPlan.NONE}
    fetched = step.outputs["fetch_base"]
    base = BaseImage(**fetched) if fetched else None
    copy = migration_of(step).prepare(step.the_guest(), source_of(step), base, step.maker, step.progress)
    return {"copy": copy}


def unplug_at_destination(step: StepHost) -> None:
    """After it no DHCP entry that this action made is left here."""
    step.driver.interfaces.unplug(step.target_id, step.the_guest().nics, step.maker)


@host_step(Role.DESTINATION, undo=unplug_at_destination)
def plug_at_destination(step: StepHost) -> None:
    """After it the guest's networks run here too, and DHCP gives each of its ports exactly its address."""
    step.driver.interfaces.plug(step.the_guest(), step.maker, step.progress)


def turn_guest_away(step: StepHost) -> None:
    """After it nothing is left here of a guest that was on its way under this action."""
    migration_of(step).turn_away(step.target_id, step.maker)


@host_step(Role.DESTINATION, undo=turn_guest_away)
def expect_guest(step: StepHost) -> None:
    """After it the guest may come: none of its id is here."""
    migration_of(step).expect(step.target_id, source_of(step), is_shared=is_shared(step))


def has_guest_moved(step: StepHost) -> dict[str, Any]:
    """Whether the guest is on at the destination. The destination may be asked in the source's place: its yes counts,
    its no does not, while the source may still be sending."""
    return {"moved": migration_of(step).has_moved(step.target_id, order_of(step), step.maker)}


@host_step(
    Role.SOURCE,
    ask=has_guest_moved,
    no_undo="it is the pivot: either the guest moved, or nothing changed",
    cancellable=True,
)
def migrate_guest(step: StepHost) -> None:
    """After it the guest is on at the destination and gone here."""
    migration_of(step).send(step.the_guest(), order_of(step), step.maker, step.progress)


@host_step(Role.DESTINATION, no_undo="the guest is here: forward only")
def finish_guest(step: StepHost) -> dict[str, Any]:
    """After it the guest is this host's as any other; gives what was measured on its way."""
    measured = migration_of(step).arrive(step.the_guest(), order_of(step), step.maker)
    return {**power_state_of(step), "measured": measured}


@host_step(Role.SOURCE, no_undo="the guest is elsewhere: forward only", owed=True)
def forget_source(step: StepHost) -> None:
    """After it nothing of the guest is left here: domain, DHCP entries, and its files unless the storage is shared."""
    migration_of(step).leave(step.target_id, step.the_guest().nics, is_shared=is_shared(step))


# --- steering one that is on its way ----------------------------------------------------------------------------------
# On the control queue `compute.<host>.ctl`, so that a busy pool does not keep them waiting.


@host_step(Role.SOURCE, no_undo="what was ended is not begun again", on_control=True)
def abort_migration(step: StepHost) -> dict[str, Any]:
    """After it the migration (input `of_action`) of the guest (input `instance`) heard that it is to end, if it was on
    its way."""
    inputs = step.inputs
    return {"heard": migration_of(step).steer(inputs["instance"], inputs["of_action"], Wish.ABORT)}


@host_step(Role.SOURCE, no_undo="what was hastened is not slowed down again", on_control=True)
def force_migration(step: StepHost) -> dict[str, Any]:
    """After it the migration (input `of_action`) heard that it is to complete: by post-copy, or the guest paused."""
    inputs = step.inputs
    return {"heard": migration_of(step).steer(inputs["instance"], inputs["of_action"], Wish.FORCE_COMPLETE)}
