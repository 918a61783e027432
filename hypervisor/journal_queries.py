"""Questions about the host's journal, beside those about its hypervisor in `queries.py`: an explicit list of reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypervisor.journal import Journal


def journal(journal: Journal, arguments: dict[str, Any]) -> dict[str, Any]:
    """What this host knows of `target`: {highest, entries}, see `TargetJournal.story`."""
    of_target = journal.of(str(arguments["target"]))
    return {"highest": of_target.highest(), "entries": of_target.story()}


JOURNAL_QUERIES: dict[str, Callable[[Journal, dict[str, Any]], Any]] = {"journal": journal}
