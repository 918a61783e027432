"""The step that takes everything of an instance off a host. All forward: there is no way back from a delete."""

from __future__ import annotations

from hypervisor.spec import NicSpec, decode
from hypervisor.steps.declare import Role, StepHost, host_step


@host_step(Role.EVERY, no_undo="a delete goes forward only", owed=True)
def remove_guest(step: StepHost) -> None:
    """After it neither domain, DHCP entry nor directory of the instance is left on this host, whoever made them."""
    step.driver.lifecycle.remove(step.target_id, None)
    nics = tuple(decode(NicSpec, nic) for nic in step.inputs.get("nics", ()))
    step.driver.interfaces.unplug(step.target_id, nics, None)
    step.driver.disks.delete(step.target_id, None)
