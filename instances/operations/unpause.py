"""`unpause`: a paused guest runs on."""

from __future__ import annotations

from hypervisor.steps import unpause_guest
from instances.operations.power import PowerOperation


class Unpause(PowerOperation):
    """The guest runs on; on failure it stands still as before."""

    name = "unpause"
    action = "unpause"
    steps = (unpause_guest,)
