"""`./kilonova test`: every check with its heading, its output and its time; at the end, the sum.

Checks go in two lanes side by side: real guests wait more than they compute, and what needs none fills the gaps. What a
check prints is shown when it is over; until then a line says how far each lane is. A failing check does not stop the
others. With arguments, pytest alone runs with them, on SQLite, and prints as it goes.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cloud.embedded import envfile, libvirtd, postgres
from cloud.embedded.programs import tool
from cloud.embedded.progress import Console
from cloud.embedded.settings import CHECKOUT
from cloud.embedded.supervisor import PATH
from cloud.embedded.trouble import Trouble

ROOMS = ("cloud", "instances", "scheduling", "hypervisor")


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check: a command that ends with 0 when all is well.

    `on_postgres`: it is given a server of its own. `loads_settings`: it loads Django's settings, which want secrets.
    `has_guests`: it goes in the lane of the real guests.
    """

    name: str
    title: str
    command: tuple[str, ...]
    is_pytest: bool = False
    has_guests: bool = False
    on_postgres: bool = False
    loads_settings: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a check came to. A check that is not pytest counts as one."""

    title: str
    seconds: float
    is_well: bool
    passed: int
    failed: int
    skipped: int = 0


WITH_GUESTS = "real or wire or rig"  # markers of tests that wait for guests more than they compute
# Without a database of this process's, so that another kind of it is nothing to them.
NO_DATABASE = ("model", "contract", "broker", "unit/embedded", "unit/hypervisor", "unit/hypervisor_drivers")
CHECKS = (
    Check(name="lint", title="ruff check", command=("ruff", "check", ".")),
    Check(name="format", title="ruff format --check", command=("ruff", "format", "--check", ".")),
    Check(name="types", title="mypy", command=("mypy", *ROOMS), loads_settings=True),
    Check(name="imports", title="import contracts", command=("lint-imports",)),
    Check(
        name="migrations",
        title="makemigrations --check",
        command=("python", "manage.py", "makemigrations", "--check", "--dry-run"),
        loads_settings=True,
    ),
    Check(
        name="sqlite",
        title="pytest on SQLite",
        command=("pytest", "-m", f"not ({WITH_GUESTS} or chaos or postgres)"),
        is_pytest=True,
    ),
    Check(
        name="postgres",
        title="pytest on PostgreSQL",
        command=(
            *("pytest", *(f"--ignore=tests/{path}" for path in NO_DATABASE)),
            *("-m", f"postgres or not ({WITH_GUESTS} or chaos)"),
        ),
        is_pytest=True,
        on_postgres=True,
    ),
    Check(
        name="chaos",
        title="pytest, killed processes",
        command=("pytest", "-m", f"chaos and not ({WITH_GUESTS} or postgres)"),
        is_pytest=True,
    ),
    Check(
        name="real",
        title="pytest, real guests",
        command=("pytest", "-m", WITH_GUESTS),
        is_pytest=True,
        has_guests=True,
    ),
)
# What somebody who gives arguments of pytest's wants: whatever they select, printed as it goes.
CHOSEN = Check(
    name="chosen",
    title="pytest on SQLite",
    command=("pytest", "-m", "not postgres"),
    is_pytest=True,
    has_guests=True,
)


def run(arguments: Sequence[str], console: Console) -> int:
    """Runs the checks; the exit status is 0 when every one of them was well."""
    parser = argparse.ArgumentParser(prog="./kilonova test")
    names = [check.name for check in CHECKS]
    parser.add_argument("--only", action="append", choices=names, metavar="CHECK", help=" ".join(names))
    parser.add_argument("--list", action="store_true", help="name the checks")
    options, pytest_arguments = parser.parse_known_args(arguments)
    if options.list:
        for check in CHECKS:
            console.line(f"{check.name:<12} {check.title}")
        return 0
    chosen = [check for check in CHECKS if options.only is None or check.name in options.only]
    if pytest_arguments and options.only is None:
        chosen = [CHOSEN]
    begun = time.monotonic()
    lanes = [lane for has in (False, True) if (lane := [check for check in chosen if check.has_guests is has])]
    with tempfile.TemporaryDirectory(prefix="kilonova-test-") as directory:
        if len(lanes) > 1:
            outcomes = _run_side_by_side(lanes, pytest_arguments, Path(directory), console)
        else:
            outcomes = [_run_check(check, pytest_arguments, Path(directory), console) for check in chosen]
    return _say_sum(outcomes, time.monotonic() - begun, console)


def _run_side_by_side(
    lanes: Sequence[Sequence[Check]], arguments: Sequence[str], directory: Path, console: Console
) -> list[Outcome]:
    """Each lane in a thread of its own; a check's output is shown in one piece when it is over."""
    at_work: dict[int, Check] = {}

    def run_lane(number: int) -> list[Outcome]:
        outcomes = []
        for check in lanes[number]:
            at_work[number] = check
            shown = io.StringIO()
            outcomes.append(_run_check(check, arguments, directory, Console(shown), _output(directory, check)))
            console.line(shown.getvalue().rstrip())
        del at_work[number]
        return outcomes

    with ThreadPoolExecutor(len(lanes)) as pool, console.step("checks") as step:
        running = [pool.submit(run_lane, number) for number in range(len(lanes))]
        while not all(lane.done() for lane in running):
            step.note(" · ".join(_how_far(directory, check) for _, check in sorted(at_work.copy().items())))
            wait(running, timeout=1.0)
    return [outcome for lane in running for outcome in lane.result()]


def _output(directory: Path, check: Check) -> Path:
    return directory / f"{check.name}.out"


def _how_far(directory: Path, check: Check) -> str:
    """The check's title, and of pytest's the share of tests that are over."""
    path = _output(directory, check)
    shares = re.findall(r"\[ *(\d+)%\]", path.read_text(errors="replace")) if path.is_file() else []
    return f"{check.title} {shares[-1]} %" if shares else check.title


def _run_check(
    check: Check, arguments: Sequence[str], directory: Path, console: Console, output: Path | None = None
) -> Outcome:
    """Runs one check. Its output goes to this command's, or into the file `output`, and is printed from there."""
    console.line(f"\n━━━ {check.title} " + "━" * max(3, 100 - len(check.title)))
    begun = time.monotonic()
    report = directory / f"{check.name}.xml"
    command = [tool(check.command[0]), *check.command[1:]]
    if check.is_pytest:
        # Arguments of the caller come last: where they say the same, theirs counts.
        command += [f"--junitxml={report}", *arguments]
    try:
        with ExitStack() as stack:
            extra = {"SECRET_KEY": "checks", "HOST_KEYS_SECRET": "checks"} if check.loads_settings else {}
            if check.has_guests:
                ours = stack.enter_context(libvirtd.running(directory))
                console.line(f"libvirt: {' and '.join(ours)} started for this run" if ours else "libvirt: runs already")
            if check.on_postgres:
                extra["TEST_DATABASE_URL"] = stack.enter_context(postgres.running())
            status = subprocess.run(
                command,
                cwd=CHECKOUT,
                env=environment(extra),
                stdin=subprocess.DEVNULL,
                stdout=stack.enter_context(output.open("w")) if output else None,
                stderr=subprocess.STDOUT if output else None,
                check=False,
            ).returncode
    except Trouble as trouble:
        console.line(trouble.report())
        status = 1
    if output and output.is_file():
        console.line(output.read_text(errors="replace").rstrip())
    seconds = time.monotonic() - begun
    console.line(f"{'✓' if status == 0 else '✗'} {check.title}  {seconds:.1f} s")
    passed, failed, skipped = _counts(report) if check.is_pytest else (0, 0, 0)
    if not check.is_pytest or (status != 0 and failed == 0):  # pytest that did not get to run is one failure
        passed, failed = passed + (status == 0), failed + (status != 0)
    return Outcome(
        title=check.title, seconds=seconds, is_well=status == 0, passed=passed, failed=failed, skipped=skipped
    )


def _counts(report: Path) -> tuple[int, int, int]:
    """Passed, failed (errors too) and skipped tests of a pytest run; nothing when it wrote no report."""
    if not report.is_file():
        return 0, 0, 0
    total = failed = skipped = 0
    for suite in ET.parse(report).getroot().iter("testsuite"):
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return total - failed - skipped, failed, skipped


def _say_sum(outcomes: Sequence[Outcome], seconds: float, console: Console) -> int:
    console.line(f"\n━━━ summary, {seconds:.0f} s " + "━" * 80)
    for outcome in outcomes:
        counts = f"{outcome.passed} passed, {outcome.failed} failed"
        counts += f", {outcome.skipped} skipped" if outcome.skipped else ""
        console.line(f"{'✓' if outcome.is_well else '✗'} {outcome.title:<24} {outcome.seconds:7.1f} s   {counts}")
    console.line(f"{sum(o.passed for o in outcomes)} passed, {sum(o.failed for o in outcomes)} failed")
    return 0 if all(outcome.is_well for outcome in outcomes) else 1


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The caller's environment without any cloud's settings, the virtual environment's commands first, and `extra`."""
    settings = envfile.documented_names(CHECKOUT / ".env.example")
    kept = {name: value for name, value in os.environ.items() if name not in settings and not name.startswith("OS_")}
    own = {
        "PATH": f"{Path(tool('python')).parent}:{PATH}",
        "LANG": "C.UTF-8",
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "KILONOVA_ENV_FILE": os.devnull,
    }
    return {**kept, **own, **(extra or {})}


def become(command: Sequence[str]) -> int:
    """Becomes another command of this checkout, with the same environment as the checks; does not return."""
    os.chdir(CHECKOUT)
    env = environment()
    env["DJANGO_SETTINGS_MODULE"] = "cloud.settings"
    if shutil.which(command[0]) is None:
        raise Trouble(f"{command[0]} is not there")
    os.execve(command[0], list(command), env)
