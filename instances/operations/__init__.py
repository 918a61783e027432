"""The verbs, one a file: each reads as a table of contents of its steps. To add one: its file, its line here, its test.

Read `boot.py` first.
"""

from instances.operations.boot import Boot
from instances.operations.delete import Delete
from instances.operations.evacuate import Evacuate
from instances.operations.hard_reboot import HardReboot
from instances.operations.rebuild import Rebuild
from instances.operations.rescue import Rescue
from instances.operations.start import Start
from instances.operations.stop import Stop
from instances.operations.unrescue import Unrescue

OPERATIONS = (
    *(Boot, Delete),
    *(Stop, Start, HardReboot),
    *(Rebuild, Rescue, Unrescue, Evacuate),
)
