"""`pause`: the guest stands still, its memory where it is; what it holds of its host stays its own."""

from __future__ import annotations

from hypervisor.steps import pause_guest
from instances.operations.power import PowerOperation


class Pause(PowerOperation):
    """The guest's CPUs stand still; on failure it runs on."""

    name = "pause"
    action = "pause"
    steps = (pause_guest,)
