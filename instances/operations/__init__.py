"""The verbs, one a file: each reads as a table of contents of its steps. To add one: its file, its line here, its test.

Read `boot.py` first.
"""

from instances.operations.boot import Boot
from instances.operations.confirm_resize import ConfirmResize
from instances.operations.delete import Delete
from instances.operations.hard_reboot import HardReboot
from instances.operations.resize import Migrate, Resize
from instances.operations.revert_resize import RevertResize
from instances.operations.start import Start
from instances.operations.stop import Stop

OPERATIONS = (
    *(Boot, Delete),
    *(Stop, Start, HardReboot),
    *(Resize, Migrate, ConfirmResize, RevertResize),
)
