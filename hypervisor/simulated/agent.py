"""Facet `GuestAgent` without a guest: the console says that it was told, as the tiny guest does."""

from __future__ import annotations

from hypervisor.errors import AgentSilent, GuestNotFound
from hypervisor.instance_files import InstanceFiles
from hypervisor.simulated.faults import Faults
from hypervisor.simulated.lifecycle import RUNNING, SimulatedLifecycle


class SimulatedGuestAgent:
    """See `hypervisor.driver.GuestAgent`."""

    def __init__(self, lifecycle: SimulatedLifecycle, files: InstanceFiles, faults: Faults) -> None:
        self._lifecycle = lifecycle
        self._files = files
        self._faults = faults

    def set_password(self, instance_id: str, user: str, password: str) -> None:
        """See `hypervisor.driver.GuestAgent.set_password`."""
        with self._faults.around("agent.set_password"):
            state = self._lifecycle.state(instance_id)
            if state is None:
                raise GuestNotFound(f"there is no guest of instance {instance_id} on this host")
            if state.power_state != RUNNING:
                raise AgentSilent(f"the guest of instance {instance_id} does not run, so its agent does not answer")
            with open(self._files.console_log(instance_id), "a", encoding="utf-8") as console:
                console.write(f"simulated: password of {user} set\n")
