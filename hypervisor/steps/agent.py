"""Steps that the agent inside the guest carries out."""

from __future__ import annotations

from hypervisor.steps.declare import StepHost, host_step


@host_step(no_undo="the password that was there before is nobody's to know")
def set_password(step: StepHost) -> None:
    """After it the guest's user `user` (an input) has the password that came sealed in `password`."""
    step.driver.agent.set_password(step.target_id, step.inputs["user"], step.unseal(step.inputs["password"]))
