"""Steps that bring an instance up on another host, while its own is down. Each undo stands above its step."""

from __future__ import annotations

from typing import Any

from hypervisor.driver import BaseImage
from hypervisor.steps.declare import Role, StepHost, host_step
from hypervisor.steps.power import power_state_of


def let_disk_go(step: StepHost) -> None:
    """After it nothing is left of a disk that this action made here; one that it only took over is not touched, for it
    carries another maker."""
    if not step.keeps_files:
        step.driver.disks.delete(step.target_id, step.maker)


@host_step(Role.DESTINATION, undo=let_disk_go)
def provide_disk(step: StepHost) -> None:
    """After it the instance's disk is here: the one that it had, where the storage is shared, else one made anew from
    its image."""
    if step.outputs["claim_destination"]["is_storage_shared"]:
        step.driver.disks.take_over(step.target_id)
    else:
        base = BaseImage(**step.outputs["fetch_image_there"])
        step.driver.disks.create(step.the_guest(), base, step.maker, step.progress)


@host_step(Role.DESTINATION, no_undo="the cache of base images is shared; what nobody uses is pruned", cancellable=True)
def fetch_image_there(step: StepHost) -> dict[str, Any]:
    """After it the image is in the destination's cache: the disk stands on it, kept or made anew."""
    base = step.driver.images.fetch(step.the_guest().image, step.progress)
    return {"path": base.path, "disk_format": base.disk_format, "virtual_size_bytes": base.virtual_size_bytes}


def unplug_there(step: StepHost) -> None:
    """After it no DHCP entry that this action made is left on the destination."""
    step.driver.interfaces.unplug(step.target_id, step.the_guest().nics, step.maker)


@host_step(Role.DESTINATION, undo=unplug_there)
def plug_there(step: StepHost) -> None:
    """After it the guest's networks run here, and DHCP gives each of its ports exactly its address."""
    step.driver.interfaces.plug(step.the_guest(), step.maker, step.progress)


def remove_guest_there(step: StepHost) -> None:
    """After it no domain that this action made is left on the destination."""
    step.driver.lifecycle.remove(step.target_id, step.maker)


@host_step(Role.DESTINATION, undo=remove_guest_there)
def bring_up(step: StepHost) -> dict[str, Any]:
    """After it the guest is defined here, and runs if it is to (input `runs`)."""
    if step.inputs.get("runs", True):
        step.driver.lifecycle.start(step.the_guest(), step.maker, step.progress, replaces=True)
    else:
        step.driver.lifecycle.define(step.the_guest(), step.maker, step.progress)
    return power_state_of(step)
