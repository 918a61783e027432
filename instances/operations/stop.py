"""`stop`: shut the guest down; what it holds of its host stays its own."""

from __future__ import annotations

from hypervisor.steps import stop_guest
from instances.operations.power import PowerOperation


class Stop(PowerOperation):
    """The guest is asked by ACPI and ended when it does not go in time; on failure it runs again."""

    name = "stop"
    action = "stop"
    steps = (stop_guest,)
