"""Steps that reboot, interrupt or end a guest on its host. Each undo stands above its step."""

from __future__ import annotations

from typing import Any

from hypervisor.steps.declare import StepHost, host_step
from hypervisor.steps.power import power_state_of, run_again


@host_step(no_undo="it changes nothing")
def note_run(step: StepHost) -> dict[str, Any]:
    """Which run of the guest it is: in the log from here on, so that the next step sees whether it is over."""
    return {"run": step.driver.power.run(step.target_id)}


@host_step(undo=run_again)
def reboot_guest(step: StepHost) -> dict[str, Any]:
    """After it the guest is in another run than the one noted: asked by ACPI, its domain kept; or, when it does not go
    off in `reboot_seconds` (an input), ended and its domain made anew, as by a hard reboot."""
    run, patience = step.outputs["note_run"]["run"], float(step.inputs["reboot_seconds"])
    is_defined = step.driver.lifecycle.state(step.target_id) is not None
    is_forced = not (is_defined and step.driver.power.reboot(step.target_id, run, patience, step.progress))
    if is_forced:
        step.driver.lifecycle.stop(step.target_id, 0, step.progress)
        step.driver.interfaces.plug(step.the_guest(), step.maker, step.progress)
        step.driver.lifecycle.start(step.the_guest(), step.maker, step.progress, replaces=True)
    return {**power_state_of(step), "is_forced": is_forced}


@host_step(no_undo="what the guest does with an NMI cannot be taken back", once=True)
def interrupt_guest(step: StepHost) -> dict[str, Any]:
    """Sends the guest one NMI, for which its system may write a crash dump."""
    step.driver.power.interrupt(step.target_id)
    return power_state_of(step)


@host_step(no_undo="nobody asked for the run that it ends")
def end_guest(step: StepHost) -> dict[str, Any]:
    """After it a guest that should not run is off: asked first, and ended when it does not go in `stop_seconds`."""
    step.driver.lifecycle.stop(step.target_id, float(step.inputs["stop_seconds"]), step.progress)
    return power_state_of(step)
