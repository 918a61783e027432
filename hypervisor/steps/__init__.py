"""The steps that hosts carry out: each a name, a role, what it does and how it is undone.

Importing this package imports no driver, no journal and no Celery, so that conductors can name the steps; the worker
makes Celery tasks of them, `hypervisor.<name>`. Read `declare.py` for what a step is, then `boot.py`.
"""

from hypervisor.steps.agent import set_password
from hypervisor.steps.boot import create_disk, fetch_image, plug_ports, start_guest
from hypervisor.steps.declare import HostStep, Role, StepHost
from hypervisor.steps.delete import remove_guest
from hypervisor.steps.evacuate import bring_up, fetch_image_there, plug_there, provide_disk
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
from hypervisor.steps.memory import pause_guest, resume_guest, suspend_guest, unpause_guest
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
from hypervisor.steps.network import set_reach
from hypervisor.steps.power import replug_ports, run_guest, stop_guest
from hypervisor.steps.reboot import end_guest, interrupt_guest, note_run, reboot_guest
from hypervisor.steps.rebuild import forget_old_disk, replace_disk, settle_guest
from hypervisor.steps.remains import clear_cache, clear_remains, restore_guest
from hypervisor.steps.rescue import create_rescue_disk, fetch_rescue_image, remove_rescue_disk
from hypervisor.steps.snapshot import discard_snapshot, take_snapshot, upload_snapshot

HOST_STEPS: tuple[HostStep, ...] = (
    *(fetch_image, create_disk, plug_ports, start_guest, remove_guest),
    *(stop_guest, replug_ports, run_guest),
    *(set_password,),
    *(set_reach,),
    *(note_run, reboot_guest, interrupt_guest, end_guest),
    *(pause_guest, unpause_guest, suspend_guest, resume_guest),
    *(replace_disk, settle_guest, forget_old_disk),
    *(fetch_rescue_image, create_rescue_disk, remove_rescue_disk),
    *(fetch_image_there, provide_disk, plug_there, bring_up),
    *(take_snapshot, upload_snapshot, discard_snapshot),
    *(describe_disk, bring_base, check_kept_disk, stop_leaving, unplug_leaving, set_disk_aside),
    *(bring_disk, put_disk_back, plug_arriving, run_arriving, discard_kept),
    *(check_source, check_destination, fetch_base, prepare_disk, plug_at_destination, expect_guest),
    *(migrate_guest, finish_guest, forget_source, abort_migration, force_migration),
    *(clear_remains, clear_cache, restore_guest),
)

__all__ = [
    "HOST_STEPS",
    "HostStep",
    "Role",
    "StepHost",
    "abort_migration",
    "bring_base",
    "bring_disk",
    "bring_up",
    "check_destination",
    "check_kept_disk",
    "check_source",
    "clear_cache",
    "clear_remains",
    "create_disk",
    "create_rescue_disk",
    "describe_disk",
    "discard_kept",
    "discard_snapshot",
    "end_guest",
    "expect_guest",
    "fetch_base",
    "fetch_image",
    "fetch_image_there",
    "fetch_rescue_image",
    "finish_guest",
    "force_migration",
    "forget_old_disk",
    "forget_source",
    "interrupt_guest",
    "migrate_guest",
    "note_run",
    "pause_guest",
    "plug_arriving",
    "plug_at_destination",
    "plug_ports",
    "plug_there",
    "prepare_disk",
    "provide_disk",
    "put_disk_back",
    "reboot_guest",
    "remove_guest",
    "remove_rescue_disk",
    "replace_disk",
    "replug_ports",
    "restore_guest",
    "resume_guest",
    "run_arriving",
    "run_guest",
    "set_disk_aside",
    "set_password",
    "set_reach",
    "settle_guest",
    "start_guest",
    "stop_guest",
    "stop_leaving",
    "suspend_guest",
    "take_snapshot",
    "unpause_guest",
    "unplug_leaving",
    "upload_snapshot",
]
