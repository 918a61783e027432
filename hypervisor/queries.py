"""Questions that the API asks a host, answered on the host's control queue: an explicit list, each a read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypervisor.driver import Driver


def console_output(driver: Driver, arguments: dict[str, Any]) -> str:
    """The last `length` lines (None: all kept) of the console of `instance_id`."""
    return driver.console.output(arguments["instance_id"], arguments.get("length"))


QUERIES: dict[str, Callable[[Driver, dict[str, Any]], Any]] = {"console_output": console_output}
