"""What the conductors say to a host outside of orders (rule R6): kept on its disk, where its main process reads it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from hypervisor import reports
from hypervisor.executor import Executor

log = logging.getLogger(__name__)


def hear(executors: Mapping[str, Executor], task: str, message: dict[str, Any]) -> None:
    """Keeps the answer to a hello, or what is said of a heartbeat, if it is for a host here and signed with its key."""
    kind = task.rpartition(".")[2]
    executor = executors.get(message.get("host", ""))
    if executor is None or not reports.is_genuine(executor.key, kind, message):
        log.error("dropped a %s with a wrong signature for host %s", kind, message.get("host"))
        return
    standing = executor.journal.standing
    if task == reports.HEARD:
        standing.put_heard(message)
    elif not standing.put_answer(message):
        log.info("passed over the answer to another hello of host %s", executor.name)
