"""CPU seconds of process trees, out of /proc."""

from __future__ import annotations

import os
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cloud.embedded.trouble import Trouble

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class _Process:
    parent: int
    seconds: float


def by_tree(roots: Mapping[str, int]) -> dict[str, float]:
    """CPU seconds spent so far by each tree: the root, its descendants, and those of them that ended and were reaped.

    Raises Trouble when a root is gone: a process that was started anew has forgotten what it spent.
    """
    processes = _processes()
    children: dict[int, list[int]] = defaultdict(list)
    for pid, process in processes.items():
        children[process.parent].append(pid)
    spent = {}
    for name, root in roots.items():
        if root not in processes:
            raise Trouble(f"{name} (pid {root}) ended while it was measured")
        tree, found = [root], 0.0
        while tree:
            pid = tree.pop()
            found += processes[pid].seconds
            tree += children[pid]
        spent[name] = found
    return spent


def loop_milliseconds() -> float:
    """CPU milliseconds of a fixed piece of work, the mean of ten: how fast a CPU of this machine is just now.

    On a busy or virtual machine a CPU second does less work than on a quiet one; this says how much less.
    """
    return statistics.fmean(_loop() for _ in range(10))


def _loop() -> float:
    begun = time.thread_time()
    total = 0
    for number in range(100_000):
        total += number * number % 7
    return (time.thread_time() - begun) * 1000


def parent_of(pid: int) -> int:
    """The parent of a process."""
    return _read(Path(f"/proc/{pid}/stat")).parent


def _processes() -> dict[int, _Process]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = _read(entry / "stat")
            except OSError:
                continue  # it ended
    return found


def _read(stat: Path) -> _Process:
    # proc(5): the second field is the command's name in brackets and may hold anything. After it: state, ppid (4), …,
    # utime (14), stime (15), cutime (16), cstime (17); the last two are of children that were waited for.
    fields = stat.read_text().rpartition(")")[2].split()
    return _Process(parent=int(fields[1]), seconds=sum(int(ticks) for ticks in fields[11:15]) / TICKS)
