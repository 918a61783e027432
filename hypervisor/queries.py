"""Questions that the API asks a host, answered on the host's control queue: an explicit list, each a read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypervisor.executor import Executor
from hypervisor.inspection import inspect

Query = Callable[[Executor, dict[str, Any]], Any]


def console_output(executor: Executor, arguments: dict[str, Any]) -> str:
    """The last `length` lines (None: all kept) of the console of `instance_id`."""
    return executor.driver.console.output(arguments["instance_id"], arguments.get("length"))


def journal(executor: Executor, arguments: dict[str, Any]) -> dict[str, Any]:
    """What the host's journal knows of `target`: {highest, entries}, see `TargetJournal.story`."""
    of_target = executor.journal.of(str(arguments["target"]))
    return {"highest": of_target.highest(), "entries": of_target.story()}


QUERIES: dict[str, Query] = {"console_output": console_output, "inspect": inspect, "journal": journal}
