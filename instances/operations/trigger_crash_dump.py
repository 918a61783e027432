"""`trigger_crash_dump`: an NMI for the guest. Whether its system writes a dump is its own affair."""

from __future__ import annotations

from hypervisor.steps import interrupt_guest
from instances.operations.power import PowerOperation


class TriggerCrashDump(PowerOperation):
    """The guest got one NMI, or the fault says that nobody knows: it is never sent twice for one request."""

    name = "trigger_crash_dump"
    action = "trigger_crash_dump"
    steps = (interrupt_guest,)
