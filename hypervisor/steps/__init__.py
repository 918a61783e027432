"""The steps that hosts carry out: each a name, a role, what it does and how it is undone.

Importing this package imports no driver, no journal and no Celery, so that conductors can name the steps; the worker
makes Celery tasks of them, `hypervisor.<name>`. Read `declare.py` for what a step is, then `boot.py`.
"""

from hypervisor.steps.boot import create_disk, fetch_image, plug_ports, start_guest
from hypervisor.steps.declare import HostStep, Role, StepHost
from hypervisor.steps.delete import remove_guest
from hypervisor.steps.live_migration import (
    abort_migration,
    check_destination,
    check_source,
    expect_guest,
    fetch_base,
    finish_guest,
    force_migration,
    forget_source,
    migrate_guest,
    plug_at_destination,
    prepare_disk,
)
from hypervisor.steps.power import replug_ports, run_guest, stop_guest

HOST_STEPS: tuple[HostStep, ...] = (
    *(fetch_image, create_disk, plug_ports, start_guest, remove_guest),
    *(stop_guest, replug_ports, run_guest),
    *(check_source, check_destination, fetch_base, prepare_disk, plug_at_destination, expect_guest),
    *(migrate_guest, finish_guest, forget_source, abort_migration, force_migration),
)

__all__ = [
    "HOST_STEPS",
    "HostStep",
    "Role",
    "StepHost",
    "abort_migration",
    "check_destination",
    "check_source",
    "create_disk",
    "expect_guest",
    "fetch_base",
    "fetch_image",
    "finish_guest",
    "force_migration",
    "forget_source",
    "migrate_guest",
    "plug_at_destination",
    "plug_ports",
    "prepare_disk",
    "remove_guest",
    "replug_ports",
    "run_guest",
    "start_guest",
    "stop_guest",
]
