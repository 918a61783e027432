"""What a measurement comes to: operations, seconds, latencies, and the CPU time that each process spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Latencies:
    """Percentiles of single operations, in milliseconds."""

    n: int
    p50: float
    p90: float
    p99: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latencies | None:
        """From durations in seconds; None of none."""
        if not seconds:
            return None
        ordered = sorted(value * 1000 for value in seconds)

        def percentile(percent: float) -> float:
            return ordered[round(percent / 100 * (len(ordered) - 1))]

        return cls(
            n=len(ordered),
            p50=percentile(50),
            p90=percentile(90),
            p99=percentile(99),
            lowest=ordered[0],
            highest=ordered[-1],
        )

    def to_json(self) -> dict[str, float]:
        """With keys that stay."""
        return {
            "n": self.n,
            "p50": round(self.p50, 2),
            "p90": round(self.p90, 2),
            "p99": round(self.p99, 2),
            "min": round(self.lowest, 2),
            "max": round(self.highest, 2),
        }


@dataclass(frozen=True, kw_only=True)
class Work:
    """What the load generator did in one phase. `latencies` are of what `latency_of` says."""

    operations: int
    seconds: float
    latencies: Latencies | None = None
    latency_of: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.operations / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One phase: the work, and the CPU seconds that each process of the cloud and the load generator spent on it.

    `name` is the stable key of `peers.py` and of the JSON report, `title` is for people. `loop_ms` says how fast a CPU
    was at its time (`cpu.loop_milliseconds`).
    """

    name: str
    title: str
    work: Work
    cpu_seconds: Mapping[str, float]
    load_generator_cpu_seconds: float
    loop_ms: float

    @property
    def cpu_each(self) -> dict[str, float]:
        """CPU seconds an operation, by process."""
        return {process: spent / self.work.operations for process, spent in self.cpu_seconds.items()}

    @property
    def cpu_total_each(self) -> float:
        """CPU seconds an operation, all processes of the cloud together, without the load generator."""
        return sum(self.cpu_seconds.values()) / self.work.operations

    def to_json(self) -> dict[str, Any]:
        """With keys that stay."""
        return {
            "name": self.name,
            "title": self.title,
            "operations": self.work.operations,
            "seconds": round(self.work.seconds, 3),
            "rate_per_s": round(self.work.rate, 2),
            "latency_ms": self.work.latencies.to_json() if self.work.latencies else None,
            "latency_of": self.work.latency_of,
            "cpu_seconds_per_operation": {
                "total": round(self.cpu_total_each, 5),
                **{process: round(spent, 5) for process, spent in self.cpu_each.items()},
            },
            "load_generator_cpu_seconds": round(self.load_generator_cpu_seconds, 3),
            "loop_ms": round(self.loop_ms, 2),
            "details": dict(self.work.details),
        }
