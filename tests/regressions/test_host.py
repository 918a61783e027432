"""Bugs of what runs on a compute host: its journal, its executor."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from hypervisor.errors import HypervisorUnreachable
from hypervisor.executor import Executor
from hypervisor.journal import Journal
from tests.operations.cloud_in_a_box import CloudInABox
from tests.operations.conftest import box  # noqa: F401
from tests.operations.scenarios import World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def order(box: CloudInABox) -> tuple[Executor, dict[str, Any], dict[str, Any]]:  # noqa: F811
    """The first order of a boot, with the host that it is for."""
    world = World(box)
    world.boot()
    box.step()
    host = world.instance().host
    message = box.take(f"compute.{host}")
    assert message is not None
    leg, first = json.loads(json.dumps(message.args))
    return box.executors[host], leg, first


def test_a_duplicate_of_an_order_that_waits_for_its_lock_does_not_wait_too(order: Any) -> None:
    """Each time that the leg was sent again, another thread of the pool waited."""
    executor, leg, first = order
    journal = executor.journal.of(leg["target"])
    journal.raise_turn(1)
    results: list[Any] = []
    carriers = [threading.Thread(target=lambda: results.append(executor.carry(leg, first))) for _ in range(2)]
    with journal.locked(first["turn"], "another order"):
        for carrier in carriers:
            carrier.start()
        until = time.monotonic() + 10
        while not results:  # one of the two waits, the other is dropped
            assert time.monotonic() < until, "both wait"
    for carrier in carriers:
        carrier.join(timeout=10)
    assert [result and result["status"] for result in results] == [None, "done"]


def test_a_hypervisor_that_is_away_when_an_interrupted_order_is_settled_is_reported(
    order: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error came out of the worker's task: nobody was told, and the leg was silent."""
    executor, leg, first = order
    journal = executor.journal.of(leg["target"])
    journal.raise_turn(1)
    journal.begin("an order that was interrupted", {})

    def away(_: str) -> None:
        raise HypervisorUnreachable("libvirtd does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(executor.driver.lifecycle, "settle", away)
        result = executor.carry(leg, first)
    assert result is not None
    assert (result["status"], result["error"]["next"]) == ("failed", "retry")
    assert journal.has_open_entry()
    again = executor.carry(leg, first)
    assert again is not None
    assert again["status"] == "done"


def test_the_journal_of_a_target_that_is_still_worked_on_is_kept(tmp_path: Path) -> None:
    """Its age was that of the directory, which stays at the day it was made."""
    journal = Journal(tmp_path / "journal")
    journal.of("old").raise_turn(3)
    journal.of("used").raise_turn(3)
    long_ago = time.time() - 40 * 86400
    for path in ("old/turn", "old", "used"):
        os.utime(journal.directory / path, (long_ago, long_ago))
    assert journal.prune(30, keep=set()) == 1
    assert journal.of("used").highest() == 3
    assert journal.of("old").highest() == 0
