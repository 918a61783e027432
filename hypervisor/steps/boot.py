"""The steps that build a guest on its host: image, disk, ports, guest. Each undo stands above its step."""

from __future__ import annotations

from typing import Any

from hypervisor.driver import BaseImage
from hypervisor.steps.declare import StepHost, host_step


@host_step(no_undo="the cache of base images is shared; what nobody uses is pruned", cancellable=True)
def fetch_image(step: StepHost) -> dict[str, Any]:
    """After it the image is in the host's cache, checked and inspected."""
    base = step.driver.images.fetch(step.the_guest().image, step.progress)
    return {"path": base.path, "disk_format": base.disk_format, "virtual_size_bytes": base.virtual_size_bytes}


def delete_disk(step: StepHost) -> None:
    """After it nothing is left of the disks that this action made."""
    if not step.keeps_files:
        step.driver.disks.delete(step.target_id, step.maker)


@host_step(undo=delete_disk)
def create_disk(step: StepHost) -> None:
    """After it the instance's directory holds its system disk and its config drive. With the input `stands_alone` the
    disk needs no base: its image will be gone."""
    base = BaseImage(**step.outputs["fetch_image"])
    stands_alone = bool(step.inputs.get("stands_alone"))
    step.driver.disks.create(step.the_guest(), base, step.maker, step.progress, stands_alone=stands_alone)


def unplug_ports(step: StepHost) -> None:
    """After it no DHCP entry that this action made is left on the host."""
    step.driver.interfaces.unplug(step.target_id, step.the_guest().nics, step.maker)


@host_step(undo=unplug_ports)
def plug_ports(step: StepHost) -> None:
    """After it the guest's networks run here, and DHCP gives each of its ports exactly its address."""
    step.driver.interfaces.plug(step.the_guest(), step.maker, step.progress)


def remove_started_guest(step: StepHost) -> None:
    """After it no domain that this action made is left on the host."""
    step.driver.lifecycle.remove(step.target_id, step.maker)


@host_step(undo=remove_started_guest)
def start_guest(step: StepHost) -> dict[str, Any]:
    """After it the guest is defined and runs."""
    step.driver.lifecycle.start(step.the_guest(), step.maker, step.progress)
    state = step.driver.lifecycle.state(step.target_id)
    return {"power_state": state.power_state if state else 0}
