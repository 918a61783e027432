"""The weighers, one file each: what makes a host better. Each is normalised to 0..1 and multiplied by its setting.

A negative multiplier turns a weigher round (pack instead of spread), 0 switches it off. `column` is the weigher as a
column of `ComputeNode`, when it is one: then the database orders the hosts by it and gives its bounds over all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scheduling.host_state import HostState
from scheduling.request_spec import RequestSpec
from scheduling.weighers import disk, ram, vcpu

Weigh = Callable[[HostState, RequestSpec], float]


@dataclass(frozen=True)
class Weigher:
    """One weigher as the pipeline runs it. `setting` names its multiplier in Django's settings; default 1."""

    name: str
    weigh: Weigh
    setting: str
    column: str | None = None


WEIGHERS: tuple[Weigher, ...] = (
    Weigher("ram", ram.weigh, "RAM_WEIGHT_MULTIPLIER", column="free_memory_mib"),
    Weigher("disk", disk.weigh, "DISK_WEIGHT_MULTIPLIER", column="free_disk_gib"),
    Weigher("vcpu", vcpu.weigh, "CPU_WEIGHT_MULTIPLIER", column="free_vcpus"),
)
