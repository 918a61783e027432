"""The verbs, one a file: each reads as a table of contents of its steps. To add one: its file, its line here, its test.

Read `boot.py` first.
"""

from instances.operations.backup import Backup
from instances.operations.boot import Boot
from instances.operations.delete import Delete
from instances.operations.hard_reboot import HardReboot
from instances.operations.shelve import Shelve
from instances.operations.shelve_offload import ShelveOffload
from instances.operations.snapshot import Snapshot
from instances.operations.start import Start
from instances.operations.stop import Stop
from instances.operations.unshelve import Unshelve, UnshelveInPlace

OPERATIONS = (
    *(Boot, Delete),
    *(Stop, Start, HardReboot),
    *(Snapshot, Backup, Shelve, ShelveOffload, Unshelve, UnshelveInPlace),
)
