"""Steps that give a guest other disks, on the host that it is on. Each undo stands above its step.

The undo of an operation is given the guest as it was before, so that what it defines is that.
"""

from __future__ import annotations

from typing import Any

from hypervisor.driver import BaseImage
from hypervisor.steps.declare import StepHost, host_step
from hypervisor.steps.power import power_state_of


def put_disk_back(step: StepHost) -> None:
    """After it the instance has the disk and the config drive that it had before the action."""
    step.driver.kept_disks.put_back(step.target_id, step.maker)


@host_step(undo=put_disk_back)
def replace_disk(step: StepHost) -> None:
    """After it the instance has a new disk on its new image and a new config drive; the old ones are kept aside."""
    step.driver.kept_disks.set_aside(step.target_id, step.maker)
    step.driver.disks.create(step.the_guest(), BaseImage(**step.outputs["fetch_image"]), step.maker, step.progress)


def define_old_guest(step: StepHost) -> dict[str, Any]:
    """After it the guest is off and defined as it was before the action."""
    step.driver.lifecycle.define(step.the_guest(), step.maker, step.progress)
    return power_state_of(step)


@host_step(undo=define_old_guest)
def settle_guest(step: StepHost) -> dict[str, Any]:
    """After it the guest is defined anew from its spec, and runs if it is to (input `runs`)."""
    if step.inputs.get("runs", True):
        step.driver.lifecycle.start(step.the_guest(), step.maker, step.progress, replaces=True)
    else:
        step.driver.lifecycle.define(step.the_guest(), step.maker, step.progress)
    return power_state_of(step)


def is_disk_forgotten(step: StepHost) -> dict[str, Any]:
    """Whether the old disk is past being put back."""
    return {"moved": step.driver.kept_disks.is_forgotten(step.target_id, step.maker)}


@host_step(ask=is_disk_forgotten, no_undo="it is a point of no return: the old disk is gone")
def forget_old_disk(step: StepHost) -> None:
    """After it the disk that was set aside is gone."""
    step.driver.kept_disks.forget(step.target_id, step.maker)
