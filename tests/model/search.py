"""How what must hold is looked for: every world that can be reached, or long random walks."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field

from tests.model.invariants import broken, is_end
from tests.model.network import Network
from tests.model.operations import Lost
from tests.model.state import World


@dataclass
class Found:
    """What a search came to. `path`: what happened before the violation. `is_complete`: every world was seen."""

    worlds: int = 0
    steps: int = 0
    ends: int = 0
    is_complete: bool = False
    violation: str = ""
    path: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        """For people: the figures, or the violation with its path."""
        if self.violation:
            way = "\n".join(f"  {place:3} {what}" for place, what in enumerate(self.path))
            return f"BROKEN: {self.violation}\n{way}"
        bounds = "all" if self.is_complete else "some"
        return f"{bounds}: {self.worlds} worlds, {self.steps} steps, {self.ends} ends, {self.seconds:.1f} s"


class Search:
    """Breadth first from one world, so that the way to a violation is the shortest."""

    def __init__(self, network: Network, start: World, *, limit: int = 5_000_000, seconds: float = 1e9) -> None:
        self.network = network
        self.limit = limit
        self.seconds = seconds
        self.index: dict[World, int] = {start: 0}
        self.worlds: list[World | None] = [start]
        self.parents: list[int] = [-1]
        self.labels: list[str] = [""]
        self.before: list[list[int]] = [[]]  # the worlds that lead to each
        self.ends: list[int] = []

    def run(self) -> Found:
        """Every world, up to the limits; then, if all were seen, whether each can still come to an end."""
        found, begun, place = Found(), time.monotonic(), 0
        while place < len(self.worlds) and not found.violation:
            if len(self.worlds) > self.limit or time.monotonic() - begun > self.seconds:
                break
            self._look(place, found)
            place += 1
        found.is_complete = place == len(self.worlds) and not found.violation
        if found.is_complete:
            self._can_all_end(found)
        found.worlds, found.ends = len(self.worlds), len(self.ends)
        found.seconds = time.monotonic() - begun
        return found

    def _look(self, place: int, found: Found) -> None:
        world = self.worlds[place]
        assert world is not None
        self.worlds[place] = None
        if is_end(world):
            self.ends.append(place)
        try:
            for label, after in self.network.steps(world):
                found.steps += 1
                known = self.index.get(after)
                if known is None:
                    known = self._add(place, label, after)
                    if what := broken(after):
                        found.violation, found.path = what, self._path(known)
                        return
                self.before[known].append(place)
        except Lost as lost:
            found.violation, found.path = str(lost), self._path(place)

    def _add(self, parent: int, label: str, world: World) -> int:
        number = len(self.worlds)
        self.index[world] = number
        self.worlds.append(world)
        self.parents.append(parent)
        self.labels.append(label)
        self.before.append([])
        return number

    def _path(self, place: int) -> list[str]:
        path = []
        while place > 0:
            path.append(self.labels[place])
            place = self.parents[place]
        return path[::-1]

    def _can_all_end(self, found: Found) -> None:
        can_end, queue = set(self.ends), list(self.ends)
        while queue:
            for place in self.before[queue.pop()]:
                if place not in can_end:
                    can_end.add(place)
                    queue.append(place)
        if len(can_end) < len(self.worlds):
            place = next(place for place in range(len(self.worlds)) if place not in can_end)
            found.violation = f"{len(self.worlds) - len(can_end)} worlds never come to an end"
            found.path = self._path(place)


def walk(network: Network, start: World, *, steps: int, seed: int, depth: int = 400) -> Found:
    """Random walks of together `steps` steps; each goes on until nothing can happen any more, which must be an end."""
    chance, found, begun = random.Random(seed), Found(), time.monotonic()
    while found.steps < steps:
        world, found.path = start, []
        for _ in range(depth):
            try:
                following = list(network.steps(world))
            except Lost as lost:
                found.violation = str(lost)
                return found
            if not following:
                break
            label, world = chance.choice(following)
            found.path.append(label)
            found.steps += 1
            if what := broken(world):
                found.violation = what
                return found
        if is_end(world):
            found.ends += 1
        elif len(found.path) < depth:
            found.violation = "nothing can happen any more, and it is no end"
            return found
    found.path, found.seconds = [], time.monotonic() - begun
    return found
