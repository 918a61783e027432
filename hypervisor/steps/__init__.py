"""The steps that hosts carry out: each a name, a role, what it does and how it is undone.

Importing this package imports no driver, no journal and no Celery, so that conductors can name the steps; the worker
makes Celery tasks of them, `hypervisor.<name>`. Read `declare.py` for what a step is, then `boot.py`.
"""

from hypervisor.steps.boot import create_disk, fetch_image, plug_ports, start_guest
from hypervisor.steps.declare import HostStep, Role, StepHost
from hypervisor.steps.delete import remove_guest
from hypervisor.steps.power import replug_ports, run_guest, stop_guest
from hypervisor.steps.snapshot import discard_snapshot, take_snapshot, upload_snapshot

HOST_STEPS: tuple[HostStep, ...] = (
    *(fetch_image, create_disk, plug_ports, start_guest, remove_guest),
    *(stop_guest, replug_ports, run_guest),
    *(take_snapshot, upload_snapshot, discard_snapshot),
)

__all__ = [
    "HOST_STEPS",
    "HostStep",
    "Role",
    "StepHost",
    "create_disk",
    "discard_snapshot",
    "fetch_image",
    "plug_ports",
    "remove_guest",
    "replug_ports",
    "run_guest",
    "start_guest",
    "stop_guest",
    "take_snapshot",
    "upload_snapshot",
]
