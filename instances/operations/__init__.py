"""The verbs, one a file: each reads as a table of contents of its steps. To add one: its file, its line here, its test.

Read `boot.py` first.
"""

from instances.operations.boot import Boot
from instances.operations.delete import Delete

OPERATIONS = (Boot, Delete)
