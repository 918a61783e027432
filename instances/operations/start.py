"""`start`: run the guest of a stopped instance, everything but its disk made anew from the database."""

from __future__ import annotations

from hypervisor.steps import replug_ports, run_guest
from instances.operations.power import PowerOperation


class Start(PowerOperation):
    """The guest runs; on failure it is off as before."""

    name = "start"
    action = "start"
    steps = (replug_ports, run_guest)
