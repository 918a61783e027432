"""The steps that hosts carry out: each a name, a role, what it does and how it is undone.

Importing this package imports no driver, no journal and no Celery, so that conductors can name the steps; the worker
makes Celery tasks of them, `hypervisor.<name>`. Read `declare.py` for what a step is, then `boot.py`.
"""

from hypervisor.steps.agent import set_password
from hypervisor.steps.boot import create_disk, fetch_image, plug_ports, start_guest
from hypervisor.steps.declare import HostStep, Role, StepHost
from hypervisor.steps.delete import remove_guest
from hypervisor.steps.evacuate import bring_up, fetch_image_there, plug_there, provide_disk
from hypervisor.steps.memory import pause_guest, resume_guest, suspend_guest, unpause_guest
from hypervisor.steps.network import set_reach
from hypervisor.steps.power import replug_ports, run_guest, stop_guest
from hypervisor.steps.reboot import end_guest, interrupt_guest, note_run, reboot_guest
from hypervisor.steps.rebuild import forget_old_disk, replace_disk, settle_guest
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
)

__all__ = [
    "HOST_STEPS",
    "HostStep",
    "Role",
    "StepHost",
    "bring_up",
    "create_disk",
    "create_rescue_disk",
    "discard_snapshot",
    "end_guest",
    "fetch_image",
    "fetch_image_there",
    "fetch_rescue_image",
    "forget_old_disk",
    "interrupt_guest",
    "note_run",
    "pause_guest",
    "plug_ports",
    "plug_there",
    "provide_disk",
    "reboot_guest",
    "remove_guest",
    "remove_rescue_disk",
    "replace_disk",
    "replug_ports",
    "resume_guest",
    "run_guest",
    "set_password",
    "set_reach",
    "settle_guest",
    "start_guest",
    "stop_guest",
    "suspend_guest",
    "take_snapshot",
    "unpause_guest",
    "upload_snapshot",
]
