"""Many requests at one cloud at the same time: what they are answered, and when all of it has come to rest."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.running_cloud import RunningCloud, wait_for

# Verbs that need nothing but the instance; each may come at any time and is refused in most states.
MIXED: tuple[tuple[str, Any], ...] = (
    ("os-stop", None),
    ("os-start", None),
    ("reboot", {"type": "HARD"}),
    ("reboot", {"type": "SOFT"}),
    ("pause", None),
    ("unpause", None),
    ("suspend", None),
    ("resume", None),
    ("lock", None),
    ("unlock", None),
)
# Which status names a task under way, or is a failure, and so is no rest.
STABLE = {"ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED"}


def send_mixed(cloud: RunningCloud, servers: Sequence[str], count: int, threads: int, seed: int) -> Counter[int]:
    """Sends `count` requests of mixed verbs to random servers from that many threads; answers by status code."""
    cloud.call("GET", "/servers")  # one token for all threads
    dice = random.Random(seed)
    wanted = [(dice.choice(servers), *dice.choice(MIXED)) for _ in range(count)]

    def send(item: tuple[str, str, Any]) -> int:
        server, verb, body = item
        return int(cloud.call("POST", f"/servers/{server}/action", **{verb: body}).status_code)

    with ThreadPoolExecutor(threads) as pool:
        return Counter(pool.map(send, wanted))


def race(cloud: RunningCloud, server: str, *verbs: tuple[str, Any]) -> list[int]:
    """The verbs at the same moment on one server, a thread each; their status codes, sorted."""
    cloud.call("GET", "/servers")
    gate = threading.Barrier(len(verbs))
    codes: list[int] = []

    def send(verb: str, body: Any) -> None:
        gate.wait(timeout=30)
        codes.append(int(cloud.call("POST", f"/servers/{server}/action", **{verb: body}).status_code))

    threads = [threading.Thread(target=send, args=verb) for verb in verbs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return sorted(codes)


def come_to_rest(cloud: RunningCloud, servers: Sequence[str], timeout: float = 180.0) -> dict[str, str]:
    """The status of each server, once none has a task under way."""

    def statuses() -> dict[str, str] | None:
        found = {server["id"]: server for server in cloud.call("GET", "/servers/detail").json()["servers"]}
        if any(found[server]["OS-EXT-STS:task_state"] is not None for server in servers):
            return None
        return {server: str(found[server]["status"]) for server in servers}

    rested: dict[str, str] = wait_for("every server to be idle", statuses, timeout)
    return rested
