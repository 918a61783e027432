"""The commands behind `./kilonova`, once packages and the virtual environment are there."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from cloud.embedded import checks, database, down, enroll, logs, state, status, supervisor, up
from cloud.embedded import settings as settings_
from cloud.embedded.programs import tool
from cloud.embedded.progress import Console
from cloud.embedded.rig import cli as rig
from cloud.embedded.trouble import Trouble


def main(arguments: Sequence[str]) -> int:
    """Runs one command; gives the exit status."""
    try:
        return _run(arguments)
    except Trouble as trouble:
        print(trouble.report(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; what runs goes on running, and the same command takes up where this one stopped")
        return 130


def _run(arguments: Sequence[str]) -> int:
    command, rest = arguments[0], list(arguments[1:])
    console = Console()
    # Commands that pass their arguments on read none of them.
    if command == "test":
        return checks.run(rest, console)
    if command == "bench":
        return checks.become([tool("python"), "-m", "benchmarks", *rest])
    if command == "chaos":
        return checks.become([tool("python"), "-m", "tests.chaos", *rest])
    if command == "rig":
        return rig.run(rest, console)
    settings = settings_.load()
    if command == "manage":
        state.require(settings)
        database.replace_process(settings, [tool("python"), "manage.py", *rest])
    options = _parser().parse_args(arguments)
    if command == "up":
        with_demo = not options.no_demo
        up.up(settings, console, with_demo=with_demo, with_seed=with_demo or options.seed)
        return 0
    state.require(settings)
    if command == "status":
        return 0 if status.status(settings, console) else 1
    if command == "enroll":
        with state.one_at_a_time(settings):
            passed_on = ["--rotate"] if options.rotate else []
            passed_on += [f"--address={address}" for address in options.address]
            enroll.enroll(settings, options.host, passed_on, console)
    if command == "logs":
        logs.show(settings, options.process, follow=options.follow, lines=options.lines)
    if command == "restart":
        with state.one_at_a_time(settings), console.step(f"restart {options.process or 'all'}"):
            if options.process:
                supervisor.restart(settings, options.process)
            else:
                supervisor.restart_cloud(settings, with_broker=True)
    if command == "down":
        down.down(settings, console, with_purge=options.purge)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./kilonova")
    commands = parser.add_subparsers(dest="command", required=True)
    up_parser = commands.add_parser("up")
    up_parser.add_argument("--no-demo", action="store_true", help="no image, flavors, network and instance")
    up_parser.add_argument(
        "--seed", action="store_true", help="with --no-demo: image, flavors and network all the same"
    )
    commands.add_parser("status")
    enroll_parser = commands.add_parser("enroll")
    enroll_parser.add_argument("host", help="the name of a compute host on another machine")
    enroll_parser.add_argument("--rotate", action="store_true", help="a new key and password; the old stop working")
    enroll_parser.add_argument("--address", action="append", default=[], help="an address of the host; may be repeated")
    logs_parser = commands.add_parser("logs")
    logs_parser.add_argument("process", nargs="?")
    logs_parser.add_argument("-f", "--follow", action="store_true")
    logs_parser.add_argument("-n", "--lines", type=int, default=20)
    commands.add_parser("restart").add_argument("process", nargs="?")
    commands.add_parser("down").add_argument("--purge", action="store_true", help="remove all that this cloud made")
    return parser


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main(sys.argv[1:]))
