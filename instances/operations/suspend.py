"""`suspend`: the guest's memory goes into a file on its host, and the guest off; what it holds there stays its own."""

from __future__ import annotations

from hypervisor.steps import suspend_guest
from instances.operations.power import PowerOperation


class Suspend(PowerOperation):
    """The guest is off, its memory saved; on failure it runs on, from its memory."""

    name = "suspend"
    action = "suspend"
    steps = (suspend_guest,)
