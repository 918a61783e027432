"""The query `inspect`: all that a host has, for the doctor. It reads and changes nothing."""

from __future__ import annotations

import time
from typing import Any

from hypervisor.executor import Executor
from hypervisor.holdings import HostHoldings, OpenStep
from hypervisor.spec import encode


def inspect(executor: Executor, arguments: dict[str, Any]) -> dict[str, Any]:
    """A `HostHoldings`. The journal is read first: a step that ends meanwhile still counts as at work."""
    looked_at = time.time()
    open_steps = tuple(
        OpenStep(target=target, name=str(entry.get("name", "")), begun_at=float(entry.get("begun", 0)))
        for target, entry in executor.journal.open_entries()
    )
    holdings = executor.driver.holdings
    return encode(
        HostHoldings(
            looked_at=looked_at,
            generation=executor.journal.standing.current(),
            storage_id=holdings.storage_id(),
            domains=holdings.domains(),
            directories=holdings.directories(),
            bases=holdings.bases(),
            networks=holdings.networks(),
            open_steps=open_steps,
            leftovers=holdings.leftovers(),
        )
    )
