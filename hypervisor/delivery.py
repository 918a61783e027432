"""One step of a leg as the queue delivers it: carried out by its host, its result handed on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from hypervisor import reports
from hypervisor.executor import Executor

log = logging.getLogger(__name__)


def carry(
    executors: Mapping[str, Executor], send: Callable[[str, dict[str, Any]], None], leg: dict[str, Any], order: Any
) -> dict[str, Any] | None:
    """What the next task of the chain gets: the leg with this step's result, or after the last step the report.

    None ends the leg: the step was not to be done, or it failed, and then `send` has told `workflow.advance`.
    """
    executor = executors.get(order.get("host", ""))
    if executor is None:
        log.error("dropped an order for host %r: this worker serves %s", order.get("host"), ", ".join(executors))
        return None
    result = executor.carry(leg, order)
    if result is None:
        return None
    leg["results"].append(result)
    report = {name: leg[name] for name in ("protocol", "action", "request_id", "results")} | {"turn": order["turn"]}
    if result["status"] != "done":
        send(reports.ADVANCE, report)
        return None
    return report if order["is_last"] else leg
