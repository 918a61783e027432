"""What measurements come to, and how they are reported."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks import cpu, report
from benchmarks.__main__ import main
from benchmarks.figures import Latencies, Measure, Work
from benchmarks.peers import NOVA, Target, targets
from cloud.embedded.trouble import Trouble

CHILD_THAT_BURNS = (
    "import subprocess, sys, time;"
    "subprocess.run([sys.executable, '-c', 'import time\\nwhile time.process_time() < 0.3: pass']);"
    "print('done', flush=True); sys.stdin.read()"
)


def measure(name: str = "boot", *, seconds: float = 2.0, cpu_seconds: float = 3.0) -> Measure:
    latencies = Latencies.of([0.010, 0.020, 0.030])
    work = Work(operations=100, seconds=seconds, latencies=latencies, latency_of="POST alone")
    spent = {"api": cpu_seconds / 3, "conductor": cpu_seconds * 2 / 3}
    return Measure(name=name, title=name, work=work, cpu_seconds=spent, load_generator_cpu_seconds=0.1, loop_ms=6.0)


@pytest.fixture
def burner() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD_THAT_BURNS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process


def test_percentiles_are_of_the_ordered_durations_in_milliseconds() -> None:
    found = Latencies.of([number / 1000 for number in range(100, -1, -1)])
    assert found is not None
    assert (found.n, found.lowest, found.p50, found.p90, found.p99, found.highest) == (101, 0, 50, 90, 99, 100)


def test_no_durations_have_no_percentiles() -> None:
    assert Latencies.of([]) is None


def test_cpu_time_counts_children_that_have_ended(burner: subprocess.Popen[str]) -> None:
    assert burner.stdout is not None
    before = cpu.by_tree({"burner": burner.pid})["burner"]
    assert burner.stdout.readline() == "done\n"
    assert cpu.by_tree({"burner": burner.pid})["burner"] - before >= 0.25


def test_cpu_time_counts_children_that_run(burner: subprocess.Popen[str]) -> None:
    assert burner.stdout is not None
    burner.stdout.readline()
    assert cpu.by_tree({"us": os.getpid()})["us"] >= cpu.by_tree({"burner": burner.pid})["burner"]


def test_a_process_that_ended_cannot_be_measured() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    with pytest.raises(Trouble, match=r"api .* ended while it was measured"):
        cpu.by_tree({"api": process.pid})


def test_cpu_seconds_are_divided_by_the_operations() -> None:
    assert measure().cpu_total_each == pytest.approx(0.03)
    assert measure().cpu_each == pytest.approx({"api": 0.01, "conductor": 0.02})


@pytest.mark.parametrize(
    ("target", "is_met"),
    [
        (Target(rate=50, p50=20, cpu=0.03001), True),
        (Target(rate=51), False),
        (Target(p50=19.9), False),
        (Target(cpu=0.029), False),
        (None, None),
    ],
)
def test_a_target_is_met_when_all_that_it_says_is(target: Target | None, is_met: bool | None) -> None:
    assert report.meets(measure(), target) is is_met


def test_every_target_and_every_peers_figure_is_of_a_measure_that_there_is() -> None:
    known = {"boot", "boot_one", "list_1000", "get_one", "get_one_8", "delete"}
    known |= {"decision_100", "decision_1000", "decision_10000"}
    assert set(NOVA) <= known
    assert set(targets(20)) <= known
    assert set(targets(1000)) <= known


def test_the_json_report_has_the_keys_that_scripts_rely_on() -> None:
    found = report.as_json({"hosts": 20}, [measure()], targets(20), [])
    assert set(found) == {"format", "run", "machine", "measures", "peer_source", "failures"}
    (boot,) = found["measures"]
    assert (boot["rate_per_s"], boot["latency_ms"]["p50"]) == (50.0, 20.0)
    assert boot["cpu_seconds_per_operation"] == {"total": 0.03, "api": 0.01, "conductor": 0.02}
    assert (boot["peer"], boot["meets_target"]) == ({"rate": 2.25, "cpu": 0.82}, True)


def test_the_text_report_names_every_failure() -> None:
    text = report.as_text({"hosts": 20}, [measure()], targets(20), ["GET /servers answered 500: …"])
    assert "50.0/s" in text
    assert "✗ 1 failures:\n  GET /servers answered 500: …" in text


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["boots", "--instances", "0"], "'0': give a whole number, 1 or more"),
        (["boots", "--hosts", "many"], "'many': give a whole number, 1 or more"),
        (["boots", "--set", "lease=5"], "'lease=5': give NAME=VALUE"),
        (["boots", "--driver", "xen"], "invalid choice: 'xen'"),
        ([], "the following arguments are required: BENCHMARK"),
    ],
)
def test_bad_arguments_are_refused_by_name(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err
