"""One question of the API as the queue delivers it: checked, answered, the answer signed and sent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from cloud.errors import CloudError, describe
from hypervisor import reports
from hypervisor.executor import Executor
from hypervisor.queries import QUERIES

log = logging.getLogger(__name__)


def answer(
    executors: Mapping[str, Executor], send: Callable[[str, dict[str, Any]], None], query: dict[str, Any]
) -> bool:
    """Answers the question through the conductors; False, and nothing said, when it is not for a host here, or not
    signed with its key."""
    executor = executors.get(query.get("host", ""))
    asked = {name: value for name, value in query.items() if name != "token"}
    if executor is None or not reports.is_signed(query.get("token"), executor.key, "query", asked):
        log.error("dropped a query with a wrong token: %s for host %s", query.get("name"), query.get("host"))
        return False
    body: dict[str, Any] = {"query": query["id"], "host": executor.name, "answer": None, "error": None}
    known = QUERIES.get(query["name"])
    try:
        if known is None:
            body["error"] = {"code": "host.unknown_query", "message": f"This host knows no query {query['name']!r}."}
        else:
            body["answer"] = known(executor, query["arguments"])
    except CloudError as error:
        body["error"] = describe(error)
    except Exception as error:
        log.exception("query %s failed", query["name"])
        body["error"] = {"code": "host.broken", "message": f"{type(error).__name__}: {error}"[:500]}
    send(reports.ANSWER, reports.signed_message(executor.key, "answer", body))
    return True
