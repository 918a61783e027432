"""Work done at once, each thread with a database connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import close_old_connections, connection, connections


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What `work` returned or raised in each of `count` threads that begin together, each with its own connection."""
    results: list[Any] = [None] * count
    begin = threading.Barrier(count)

    def run(index: int) -> None:
        close_old_connections()
        begin.wait(10)
        try:
            results[index] = work(index)
        except Exception as error:
            results[index] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def wait_for_a_waiter() -> None:
    """Returns once some session of this PostgreSQL waits for a lock; fails when none ever does."""
    with connection.cursor() as cursor:
        for _ in range(10_000):
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
    pytest.fail("nobody waits for the lock")
