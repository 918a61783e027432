"""The outcome for people, as tables beside the peer's figures and our targets; and for programs, as JSON."""

from __future__ import annotations

import os
import platform
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.figures import Measure
from benchmarks.peers import NOVA, SOURCE, Peer, Target

FORMAT = 1  # raised when a key of the JSON report changes its meaning or goes
BY_LATENCY = frozenset({"boot_one", "list", "list_1000", "get_one", "decision_100", "decision_1000", "decision_10000"})


def as_json(
    run: Mapping[str, Any], measures: Sequence[Measure], targets: Mapping[str, Target], failures: Sequence[str]
) -> dict[str, Any]:
    """The report as plain JSON. `run` says what was run; the rest has keys that stay."""
    return {
        "format": FORMAT,
        "run": dict(run),
        "machine": {"cpus": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()},
        "measures": [
            {
                **measure.to_json(),
                "peer": _said(NOVA.get(measure.name)),
                "target": _said(targets.get(measure.name)),
                "meets_target": meets(measure, targets.get(measure.name)),
            }
            for measure in measures
        ],
        "peer_source": SOURCE,
        "failures": list(failures),
    }


def as_text(
    run: Mapping[str, Any], measures: Sequence[Measure], targets: Mapping[str, Target], failures: Sequence[str]
) -> str:
    """The report as tables."""
    said = ", ".join(f"{name} {value}" for name, value in run.items())
    parts = [
        f"{said}; {os.cpu_count()} CPUs, which the load generator shares",
        _table(["work", "Kilonova", "CPU-s each", "Nova", "CPU-s each", "target", ""], _beside(measures, targets)),
        "Latencies in milliseconds",
        _table(["work", "of", "n", "p50", "p90", "p99", "max"], _latencies(measures)),
        "CPU milliseconds an operation, by process (without the load generator); loop: see docs/how-to/measure.md",
        _table(*_cpu(measures)),
        textwrap.fill(f"Nova: {SOURCE}", width=118),
    ]
    if failures:
        shown = [f"  {failure}" for failure in failures[:20]]
        more = [f"  … and {len(failures) - 20} more"] if len(failures) > 20 else []
        parts.append("\n".join([f"✗ {len(failures)} failures:", *shown, *more]))
    return "\n\n".join(parts)


def meets(measure: Measure, target: Target | None) -> bool | None:
    """Whether the target is met in all that it says; None when there is none."""
    if target is None:
        return None
    median = measure.work.latencies.p50 if measure.work.latencies else float("inf")
    return (
        (target.rate is None or measure.work.rate >= target.rate)
        and (target.p50 is None or median <= target.p50)
        and (target.cpu is None or measure.cpu_total_each <= target.cpu)
    )


# --- tables -----------------------------------------------------------------------------------------------------------


def _beside(measures: Sequence[Measure], targets: Mapping[str, Target]) -> list[list[str]]:
    rows = []
    for measure in measures:
        peer, target = NOVA.get(measure.name, Peer()), targets.get(measure.name)
        met = meets(measure, target)
        rows.append(
            [
                measure.title,
                _ours(measure),
                f"{measure.cpu_total_each:.4f}" if measure.cpu_seconds else "–",
                _theirs(peer),
                "–" if peer.cpu is None else f"{peer.cpu:.3f}",
                _wanted(target),
                "" if met is None else "✓" if met else "✗",
            ]
        )
    return rows


def _ours(measure: Measure) -> str:
    if measure.name == "idle":
        return "–"
    if measure.name in BY_LATENCY and measure.work.latencies:
        return f"{measure.work.latencies.p50:.1f} ms"
    return f"{measure.work.rate:.1f}/s"


def _theirs(peer: Peer) -> str:
    if peer.p50 is not None:
        return f"{peer.p50:g} ms"
    return "–" if peer.rate is None else f"{peer.rate:g}/s"


def _wanted(target: Target | None) -> str:
    if target is None:
        return ""
    parts = [
        f"≥ {target.rate:g}/s" if target.rate is not None else "",
        f"≤ {target.p50:g} ms" if target.p50 is not None else "",
        f"≤ {target.cpu:g} CPU-s" if target.cpu is not None else "",
    ]
    return ", ".join(part for part in parts if part)


def _latencies(measures: Sequence[Measure]) -> list[list[str]]:
    rows = []
    for measure in measures:
        found = measure.work.latencies
        if found:
            values = (found.p50, found.p90, found.p99, found.highest)
            rows.append([measure.title, measure.work.latency_of, str(found.n), *(f"{value:.1f}" for value in values)])
    return rows


def _cpu(measures: Sequence[Measure]) -> tuple[list[str], list[list[str]]]:
    processes = list(dict.fromkeys(process for measure in measures for process in measure.cpu_seconds))
    rows = []
    for measure in measures:
        each = measure.cpu_each
        if each:
            values = [*(each.get(process, 0.0) for process in processes), measure.cpu_total_each]
            rows.append([measure.title, *(f"{value * 1000:.1f}" for value in values), f"{measure.loop_ms:.1f}"])
    return ["work", *processes, "sum", "loop"], rows


def _table(head: list[str], rows: list[list[str]]) -> str:
    """Columns as wide as they must be; the first from the left, the others from the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [head, ["─" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _said(figures: Peer | Target | None) -> dict[str, float] | None:
    if figures is None:
        return None
    return {name: value for name, value in asdict(figures).items() if value is not None}
