"""Steps that halt a guest with its memory, and let it go on. Each undo stands above its step."""

from __future__ import annotations

import logging
from typing import Any

from hypervisor.steps.declare import StepHost, host_step
from hypervisor.steps.power import is_on, power_state_of, run_again

log = logging.getLogger(__name__)


def unpause_again(step: StepHost) -> dict[str, Any]:
    """After it the guest runs on, if it is still on. One that nobody saw end, for its host lost its power meanwhile, is
    started again; one that went off by itself stays off."""
    if is_on(step):
        step.driver.power.unpause(step.target_id)
        return power_state_of(step)
    state = step.driver.lifecycle.state(step.target_id)
    is_lost = state is not None and state.reason == "lost"
    return run_again(step) if is_lost else power_state_of(step)


@host_step(undo=unpause_again)
def pause_guest(step: StepHost) -> dict[str, Any]:
    """After it the guest's CPUs stand still; its memory stays where it is."""
    step.driver.power.pause(step.target_id)
    return power_state_of(step)


def pause_again(step: StepHost) -> dict[str, Any]:
    """After it the guest stands still, if it is still on."""
    if is_on(step):
        step.driver.power.pause(step.target_id)
    return power_state_of(step)


@host_step(undo=pause_again)
def unpause_guest(step: StepHost) -> dict[str, Any]:
    """After it the guest runs on."""
    step.driver.power.unpause(step.target_id)
    return power_state_of(step)


def wake_again(step: StepHost) -> dict[str, Any]:
    """After it the guest runs, from its saved memory where there is one."""
    if not step.driver.power.resume(step.target_id, step.progress):
        step.driver.lifecycle.start(step.the_guest(), step.maker, step.progress, replaces=True)
    return power_state_of(step)


@host_step(undo=wake_again)
def suspend_guest(step: StepHost) -> dict[str, Any]:
    """After it the guest is off, its memory in a file."""
    step.driver.power.suspend(step.target_id, step.progress)
    return power_state_of(step)


def suspend_again(step: StepHost) -> dict[str, Any]:
    """After it the guest is off, its memory in a file as before; one that this action booted had none, and is ended."""
    state = step.driver.lifecycle.state(step.target_id)
    if state is not None and is_on(step):
        if state.action_id == step.maker.action_id:
            step.driver.lifecycle.stop(step.target_id, 0, step.progress)
        else:
            step.driver.power.suspend(step.target_id, step.progress)
    return power_state_of(step)


@host_step(undo=suspend_again)
def resume_guest(step: StepHost) -> dict[str, Any]:
    """After it the guest runs: it goes on from its saved memory, and boots when that is lost."""
    if not step.driver.power.resume(step.target_id, step.progress):
        log.warning("the memory of instance %s is not here: its guest boots", step.target_id)
        step.driver.lifecycle.start(step.the_guest(), step.maker, step.progress, replaces=True)
    return power_state_of(step)
