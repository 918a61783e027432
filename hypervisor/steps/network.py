"""The step that tells a host which other hosts have one of its networks. It is about a network, not about a guest."""

from __future__ import annotations

from typing import Any

from hypervisor.spec import ReachSpec, decode
from hypervisor.steps.declare import StepHost, host_step


@host_step(no_undo="what a host knows is only ever overwritten by what is newer")
def set_reach(step: StepHost) -> dict[str, Any]:
    """After it the host knows the network's hosts, and its bridge reaches them; gives the version that it knows."""
    return {"version": step.driver.interfaces.set_reach(decode(ReachSpec, step.inputs["reach"]))}
