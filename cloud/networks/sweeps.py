"""What this room repairs on its own: that hosts know which other hosts have their networks. Each may run twice.

Ports and addresses are written and released in the transaction of the action that owns them, so nothing of them can be
half done; which instances still live is not known here.
"""

from __future__ import annotations

from collections.abc import Callable

from django.core.cache import cache

from cloud.networks import reach

SETTLE_EVERY = 30  # seconds, in one process: it reads every host of every network


def settle_hosts_now_and_then() -> None:
    """Hosts whose last port of a network went, or whose address changed; and what was told long ago."""
    if cache.add("networks.settle_hosts", True, timeout=SETTLE_EVERY):
        reach.settle()
        reach.forget_old_tellings()


def tell_hosts() -> int:
    """Hosts that do not know yet which others have a network."""
    return reach.tell_stale()


SWEEPS: tuple[tuple[str, Callable[[], object]], ...] = (
    ("networks.settle_hosts", settle_hosts_now_and_then),
    ("networks.tell_hosts", tell_hosts),
)
