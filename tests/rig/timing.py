"""How long verbs take on the rig, printed one a line: what the closing note's table is made of."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def timed(verb: str) -> Iterator[None]:
    """Prints how long the block took, in seconds."""
    begun = time.monotonic()
    yield
    print(f"\nTIME {verb}: {time.monotonic() - begun:.1f} s")
