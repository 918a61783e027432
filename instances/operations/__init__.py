"""The verbs, one a file: each reads as a table of contents of its steps. To add one: its file, its line here, its test.

Read `boot.py` first.
"""

from instances.operations.backup import Backup
from instances.operations.boot import Boot
from instances.operations.change_password import ChangePassword
from instances.operations.clear_cache import ClearCache
from instances.operations.clear_remains import ClearRemains
from instances.operations.confirm_resize import ConfirmResize
from instances.operations.delete import Delete
from instances.operations.end_unexpected_guest import EndUnexpectedGuest
from instances.operations.evacuate import Evacuate
from instances.operations.hard_reboot import HardReboot
from instances.operations.live_migration import LiveMigration
from instances.operations.migration_control import AbortLiveMigration, ForceCompleteLiveMigration
from instances.operations.pause import Pause
from instances.operations.power_on_again import PowerOnAgain
from instances.operations.reboot import Reboot
from instances.operations.rebuild import Rebuild
from instances.operations.rescue import Rescue
from instances.operations.resize import Migrate, Resize
from instances.operations.restore import Restore
from instances.operations.restore_guest import RestoreGuest
from instances.operations.resume import Resume
from instances.operations.revert_resize import RevertResize
from instances.operations.shelve import Shelve
from instances.operations.shelve_offload import ShelveOffload
from instances.operations.snapshot import Snapshot
from instances.operations.soft_delete import SoftDelete
from instances.operations.start import Start
from instances.operations.stop import Stop
from instances.operations.suspend import Suspend
from instances.operations.trigger_crash_dump import TriggerCrashDump
from instances.operations.unpause import Unpause
from instances.operations.unrescue import Unrescue
from instances.operations.unshelve import Unshelve, UnshelveInPlace

OPERATIONS = (
    *(Boot, Delete, SoftDelete, Restore),
    *(Stop, Start, HardReboot),
    *(ChangePassword,),
    *(Reboot, Pause, Unpause, Suspend, Resume, TriggerCrashDump),
    *(PowerOnAgain, EndUnexpectedGuest),
    *(RestoreGuest, ClearRemains, ClearCache),
    *(Rebuild, Rescue, Unrescue, Evacuate),
    *(Snapshot, Backup, Shelve, ShelveOffload, Unshelve, UnshelveInPlace),
    *(Resize, Migrate, ConfirmResize, RevertResize),
    *(LiveMigration, AbortLiveMigration, ForceCompleteLiveMigration),
)
