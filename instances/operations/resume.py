"""`resume`: a suspended guest goes on where it was. One whose saved memory is lost boots."""

from __future__ import annotations

from hypervisor.steps import replug_ports, resume_guest
from instances.operations.power import PowerOperation


class Resume(PowerOperation):
    """The guest runs; on failure it is suspended as before."""

    name = "resume"
    action = "resume"
    steps = (replug_ports, resume_guest)
