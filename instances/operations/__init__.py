"""The verbs, one a file: each reads as a table of contents of its steps. To add one: its file, its line here, its test.

Read `boot.py` first.
"""

from instances.operations.boot import Boot
from instances.operations.delete import Delete
from instances.operations.hard_reboot import HardReboot
from instances.operations.live_migration import LiveMigration
from instances.operations.migration_control import AbortLiveMigration, ForceCompleteLiveMigration
from instances.operations.start import Start
from instances.operations.stop import Stop

OPERATIONS = (
    *(Boot, Delete),
    *(Stop, Start, HardReboot),
    *(LiveMigration, AbortLiveMigration, ForceCompleteLiveMigration),
)
