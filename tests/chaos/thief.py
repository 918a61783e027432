"""What may happen to messages in the broker: they are lost, come twice, come late, or come in another order.

The thief reads the queues as one more worker would, with the admin's login, and puts back what it likes.
"""

from __future__ import annotations

import random
import time

import redis


class Thief:
    """One admin's connection to the broker."""

    def __init__(self, broker: redis.Redis, generator: random.Random, queues: list[str]) -> None:
        self._broker = broker
        self._random = generator
        self._queues = queues
        self._kept: list[tuple[str, bytes]] = []  # for later

    def drop(self) -> str:
        """Takes the next message away."""
        return self._say("lost", self._steal(1))

    def duplicate(self) -> str:
        """Takes the next message and puts it in two or three times."""
        stolen = self._steal(1)
        for queue, message in stolen:
            for _ in range(self._random.choice((2, 3))):
                self._broker.lpush(queue, message)
        self._kept = [*self._kept, *stolen][-20:]
        return self._say("twice", stolen)

    def reorder(self) -> str:
        """Takes several messages and puts them back in another order."""
        stolen = self._steal(4)
        self._random.shuffle(stolen)
        for queue, message in stolen:
            self._broker.lpush(queue, message)
        return self._say("in another order", stolen)

    def replay(self) -> str:
        """Puts in messages again that were stolen a while ago."""
        again = self._random.sample(self._kept, min(3, len(self._kept)))
        for queue, message in again:
            self._broker.lpush(queue, message)
        return self._say("again, late", again)

    def _steal(self, count: int) -> list[tuple[str, bytes]]:
        stolen: list[tuple[str, bytes]] = []
        until = time.monotonic() + 2.0
        queues = list(self._queues)
        while len(stolen) < count and time.monotonic() < until:
            self._random.shuffle(queues)
            found = self._broker.brpop(queues, timeout=1)
            if found is not None:
                stolen.append((found[0].decode(), found[1]))
        return stolen

    @staticmethod
    def _say(how: str, stolen: list[tuple[str, bytes]]) -> str:
        return f"{len(stolen)} {how}: " + ", ".join(queue for queue, _ in stolen)
