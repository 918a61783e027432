"""The steps that hosts carry out: each a name, a role, what it does and how it is undone.

Importing this package imports no driver, no journal and no Celery, so that conductors can name the steps; the worker
makes Celery tasks of them, `hypervisor.<name>`. Read `declare.py` for what a step is, then `boot.py`.
"""

from hypervisor.steps.boot import create_disk, fetch_image, plug_ports, start_guest
from hypervisor.steps.declare import HostStep, Role, StepHost
from hypervisor.steps.delete import remove_guest
from hypervisor.steps.move import (
    bring_base,
    bring_disk,
    check_kept_disk,
    describe_disk,
    discard_kept,
    plug_arriving,
    put_disk_back,
    run_arriving,
    set_disk_aside,
    stop_leaving,
    unplug_leaving,
)
from hypervisor.steps.power import replug_ports, run_guest, stop_guest

HOST_STEPS: tuple[HostStep, ...] = (
    *(fetch_image, create_disk, plug_ports, start_guest, remove_guest),
    *(stop_guest, replug_ports, run_guest),
    *(describe_disk, bring_base, check_kept_disk, stop_leaving, unplug_leaving, set_disk_aside),
    *(bring_disk, put_disk_back, plug_arriving, run_arriving, discard_kept),
)

__all__ = [
    "HOST_STEPS",
    "HostStep",
    "Role",
    "StepHost",
    "bring_base",
    "bring_disk",
    "check_kept_disk",
    "create_disk",
    "describe_disk",
    "discard_kept",
    "fetch_image",
    "plug_arriving",
    "plug_ports",
    "put_disk_back",
    "remove_guest",
    "replug_ports",
    "run_arriving",
    "run_guest",
    "set_disk_aside",
    "start_guest",
    "stop_guest",
    "stop_leaving",
    "unplug_leaving",
]
