"""Steps that end a guest or set it going on its host; its disks stay. Each undo stands above its step."""

from __future__ import annotations

from typing import Any

from hypervisor.steps.declare import StepHost, host_step


def power_state_of(step: StepHost) -> dict[str, Any]:
    """What a step returns so that the instance's row learns what its guest is: the wire's number, 0 for no guest."""
    state = step.driver.lifecycle.state(step.target_id)
    return {"power_state": state.power_state if state else 0}


def is_on(step: StepHost) -> bool:
    """Whether the guest runs, or is paused: its memory is there."""
    return bool(step.driver.power.run(step.target_id))


def run_again(step: StepHost) -> dict[str, Any]:
    """After it the guest is on if it was before the action (input `was_on`). One that never went off is left as it is:
    it loses nothing."""
    if step.inputs.get("was_on") and not is_on(step):
        step.driver.lifecycle.start(step.the_guest(), step.maker, step.progress, replaces=True)
    return power_state_of(step)


@host_step(undo=run_again)
def stop_guest(step: StepHost) -> dict[str, Any]:
    """After it the guest is off: asked first, and ended when it does not go by itself in `stop_seconds` (an input)."""
    step.driver.lifecycle.stop(step.target_id, float(step.inputs.get("stop_seconds", 0)), step.progress)
    return power_state_of(step)


@host_step(no_undo="the ports are the guest's own and were plugged here before")
def replug_ports(step: StepHost) -> None:
    """After it the guest's networks run here, and DHCP gives each of its ports exactly its address."""
    step.driver.interfaces.plug(step.the_guest(), step.maker, step.progress)


def end_run(step: StepHost) -> dict[str, Any]:
    """After it the guest is off unless it was on before the action (input `was_on`)."""
    if not step.inputs.get("was_on"):
        step.driver.lifecycle.stop(step.target_id, 0, step.progress)
    return power_state_of(step)


@host_step(undo=end_run)
def run_guest(step: StepHost) -> dict[str, Any]:
    """After it the guest runs, its domain made anew from its spec: a definition that was lost or changed heals."""
    step.driver.lifecycle.start(step.the_guest(), step.maker, step.progress, replaces=True)
    return power_state_of(step)
