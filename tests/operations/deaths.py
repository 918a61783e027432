"""Where processes die: the four points of a host's step, and those of a conductor's turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from cloud.workflow import legs
from cloud.workflow.turn import Turn
from tests.operations.cloud_in_a_box import CONDUCTOR_QUEUES, CloudInABox, Killed, Message

HOST_POINTS = ("before_begin", "before_effect", "before_record", "after_record")
# A turn's steps, their records and the next leg are one transaction (rule R2): whatever happens before its end is gone.
CONDUCTOR_POINTS = ("before_commit", "before_publish", "after_publish")


@contextmanager
def conductor_dies(point: str) -> Iterator[None]:
    """The conductor that works meanwhile dies there, if it comes so far."""
    save, send = Turn.save, legs._send

    def die_before_commit(turn: Turn) -> None:
        save(turn)
        raise Killed(point)

    def die_before_publish(*_: Any) -> None:
        raise Killed(point)

    def die_after_publish(*args: Any) -> None:
        send(*args)
        raise Killed(point)

    where = {
        "before_commit": (Turn, "save", die_before_commit),
        "before_publish": (legs, "_send", die_before_publish),
        "after_publish": (legs, "_send", die_after_publish),
    }
    with patch.object(*where[point]):
        yield


def worker_dies_once(box: CloudInABox, point: str, is_it: Callable[[dict[str, Any]], bool], *, is_kept: bool) -> bool:
    """Runs until nothing waits; the worker that first comes to `point` with an order that `is_it` dies there, and the
    next one starts. `is_kept`: the order comes back to the queue. Whether it came so far."""
    deaths: list[str] = []

    def die(at: str, order: dict[str, Any]) -> None:
        if not deaths and at == point and is_it(order):
            deaths.append(at)
            raise Killed(f"{order['verb']} {order['name']} {at}")

    taken: list[Message] = []

    def remember(message: Message) -> bool:
        taken[:] = [message]
        return True

    for _ in range(400):
        for executor in box.executors.values():
            executor.fault_points = die
        try:
            if box.step(on=remember) is None:
                return bool(deaths)
        except Killed:
            box.restart_workers()
            if is_kept:
                box.deliver(taken[0])
    raise AssertionError("messages still wait: the engine goes round in circles")


def conductor_dies_in_every_turn(box: CloudInABox, point: str, turns: set[tuple[str, int]], *, is_kept: bool) -> int:
    """Runs until nothing waits; the conductor dies at `point` of every turn, the first time that it comes there; those
    in `turns` are past that, and are added to. `is_kept`: the message that it worked on comes back. How often it died.
    """
    died = 0
    for _ in range(400):
        message = next((found for queue in box.waiting() if (found := box.take(queue)) is not None), None)
        if message is None:
            return died
        report = message.args[0]
        turn = (str(report.get("action")), int(report.get("turn") or 0))
        if message.queue not in CONDUCTOR_QUEUES or turn in turns:
            box.deliver(message)
            continue
        turns.add(turn)
        try:
            with conductor_dies(point):
                box.deliver(message)
        except Killed:
            died += 1
            if is_kept:
                box.deliver(message)
    raise AssertionError("messages still wait: the engine goes round in circles")
