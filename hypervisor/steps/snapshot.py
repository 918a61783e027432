"""The steps that make an image of a system disk: copy it, bring the copy to the image service, forget the copy."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hypervisor.steps.declare import StepHost, host_step


def discard_taken(step: StepHost) -> None:
    """After it nothing is left here of the copy that this action took, and the guest is on its own disk."""
    step.driver.snapshots.discard(step.target_id, step.maker)


@host_step(undo=discard_taken, cancellable=True)
def take_snapshot(step: StepHost) -> dict[str, Any]:
    """After it a full copy of the system disk, as it was at one moment, is beside it. A guest that runs goes on."""
    return asdict(step.driver.snapshots.take(step.target_id, step.maker, step.progress))


@host_step(no_undo="the image's row is the conductors', and its bytes go with it", cancellable=True)
def upload_snapshot(step: StepHost) -> dict[str, Any]:
    """After it the image service has the copy (inputs `image_id` and `upload_url`); it is not yet an active image."""
    image_id, url = step.inputs["image_id"], step.inputs["upload_url"]
    return asdict(step.driver.snapshots.upload(step.target_id, image_id, url, step.maker, step.progress))


@host_step(no_undo="the copy is this action's own, and the image service has it")
def discard_snapshot(step: StepHost) -> None:
    """After it the copy is gone from this host."""
    step.driver.snapshots.discard(step.target_id, step.maker)
