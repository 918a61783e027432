"""Every message is lost at once, in the middle of a hundred operations."""

from __future__ import annotations

import time

import pytest

from tests.chaos.asking import Asking
from tests.chaos.cloud import SLOW_CALLS, ChaosCloud
from tests.running_cloud import wait_for

pytestmark = pytest.mark.chaos

HALF = 50
HELD = 4.0  # seconds that each first step takes: 24 are at work in the hosts' threads, the others wait in Redis
SECONDS = 60.0


def test_redis_emptied_in_the_middle_of_a_hundred_operations_and_all_end_within_a_minute(simulated: ChaosCloud) -> None:
    asking = Asking(simulated)
    there = asking.boot("there", HALF)
    asking.wait_quiet()
    for host in simulated.hosts:
        simulated.slow_down(host, dict.fromkeys(SLOW_CALLS, HELD))
    boots = asking.boot("new", HALF)
    for number, server in enumerate(there):
        asking.act(server, {"reboot": {"type": "HARD"}} if number % 2 else {"os-stop": None})
    broker = simulated.broker()
    wait_for("the hosts to be at work", lambda: broker.llen("compute.c1") > 0, timeout=20)
    running = asking.live()
    broker.flushall()
    emptied = time.monotonic()
    for host in simulated.hosts:
        simulated.slow_down(host, {})
    assert running == 2 * HALF, "some were over before Redis was emptied: this proved too little"
    wait_for("all of them to end", lambda: not asking.live(), timeout=SECONDS)
    print(f"{running} operations ended within {time.monotonic() - emptied:.1f} s")
    states = [asking.actions(server)[-1]["state"] for server in (*there, *boots)]
    assert states == ["SUCCEEDED"] * 2 * HALF
    asking.wait_quiet()
    assert asking.breaches() == []
    asking.delete(*there, *boots)
    assert asking.breaches() == []
