"""Steps that let a guest boot from a rescue disk, and from its own again. Each undo stands above its step."""

from __future__ import annotations

from typing import Any

from hypervisor.driver import BaseImage
from hypervisor.steps.declare import StepHost, host_step


@host_step(no_undo="the cache of base images is shared; what nobody uses is pruned", cancellable=True)
def fetch_rescue_image(step: StepHost) -> dict[str, Any]:
    """After it the rescue image is in the host's cache, checked and inspected."""
    image = step.the_guest().rescue
    if image is None:
        raise ValueError("the order's guest has no rescue image")
    base = step.driver.images.fetch(image, step.progress)
    return {"path": base.path, "disk_format": base.disk_format, "virtual_size_bytes": base.virtual_size_bytes}


def delete_rescue_disk(step: StepHost) -> None:
    """After it nothing is left of the rescue disk that this action made."""
    step.driver.rescue_disks.delete(step.target_id, step.maker)


@host_step(undo=delete_rescue_disk)
def create_rescue_disk(step: StepHost) -> None:
    """After it the rescue disk and the rescued guest's config drive are there; the instance's own are untouched."""
    base = BaseImage(**step.outputs["fetch_rescue_image"])
    step.driver.rescue_disks.create(step.the_guest(), base, step.maker, step.progress)


def is_rescue_disk_gone(step: StepHost) -> dict[str, Any]:
    """Whether the rescued guest is past being started again."""
    return {"moved": not step.driver.rescue_disks.are_there(step.target_id)}


@host_step(ask=is_rescue_disk_gone, no_undo="it is a point of no return: the rescue disk is gone")
def remove_rescue_disk(step: StepHost) -> None:
    """After it the instance has its own disk alone."""
    step.driver.rescue_disks.delete(step.target_id, None)
