"""The command behind `./kilonova chaos`. Progress goes to standard error, the report to standard output."""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
from collections.abc import Sequence

from cloud.embedded.progress import Console
from cloud.embedded.trouble import Trouble
from tests.chaos import on_rig, report, run
from tests.chaos.cloud import PRODUCT, SHORT, Plan

KILLS_A_MINUTE = 30


def main(arguments: Sequence[str]) -> int:
    """Runs it; the exit status is 0 when nothing is broken, stuck or unfinished."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a run that is under way ends early, with its report
        signal.signal(number, signal.default_int_handler)
    options = _parser().parse_args(arguments)
    console = Console(sys.stderr)
    if options.rig:
        outcome = on_rig.run(seed=options.seed, kills=options.kills or on_rig.KILLS, console=console)
    else:
        outcome = run.run(_order(options), console)
    print(json.dumps(outcome.figures, indent=2) if options.json else report.text(outcome.figures))
    for timeline in outcome.timelines:
        print(timeline, file=sys.stderr if options.json else sys.stdout)
    return 0 if outcome.is_well else 1


def _order(options: argparse.Namespace) -> run.Order:
    kills = options.kills or max(1, round(options.minutes * KILLS_A_MINUTE))
    return run.Order(
        seed=options.seed,
        seconds=options.minutes * 60,
        kills=kills,
        operations=options.operations,
        users=options.users,
        pause=options.pause,
        plan=Plan(
            timing=PRODUCT if options.product_timing else SHORT, on_postgres=options.postgres, is_kept=options.keep
        ),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./kilonova chaos")
    add = parser.add_argument
    add("--minutes", type=float, default=3.0, help="how long blows are dealt (default 3)")
    add("--seed", type=int, default=random.randrange(1, 1 << 31), help="repeats a run's choices (default: a new one)")
    add("--kills", type=int, default=0, help=f"how many processes are killed (default {KILLS_A_MINUTE} a minute)")
    add("--operations", type=int, default=0, help="go on until so many were accepted")
    add("--users", type=int, default=8, help="threads of the load, with three servers each (default 8)")
    add("--pause", type=float, default=1.2, help="seconds between two requests of a user, at most (default 1.2)")
    add("--postgres", action="store_true", help="on a PostgreSQL of its own instead of SQLite")
    add("--product-timing", action="store_true", help="leases, heartbeats and sweeps by the product's defaults")
    add("--rig", action="store_true", help="real guests on three hosts of a rig (needs root and libvirt)")
    add("--keep", action="store_true", help="keep the cloud's directory with all logs")
    add("--json", action="store_true", help="the report as JSON")
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Trouble as trouble:
        print(trouble.report(), file=sys.stderr)
        sys.exit(1)
