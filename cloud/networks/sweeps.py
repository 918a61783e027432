"""What this room repairs on its own: nothing yet.

Ports and addresses are written and released in the transaction of the action that owns them, so nothing of them can be
half done; which instances still live is not known here.
"""

from __future__ import annotations

from collections.abc import Callable

SWEEPS: tuple[tuple[str, Callable[[], object]], ...] = ()
