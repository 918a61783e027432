"""The commands behind `./kilonova bench`. Progress goes to standard error, the report to standard output."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

from benchmarks import boots, cloud, decision, report
from benchmarks.peers import targets
from cloud.embedded.progress import Console
from cloud.embedded.trouble import Trouble


def main(arguments: Sequence[str]) -> int:
    """Runs one benchmark; 0 when every call and every boot went well."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _end)
    console = Console(sys.stderr)
    try:
        status: int = options.run(options, console)
    except Trouble as trouble:
        print(trouble.report(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; all that was started is stopped", file=sys.stderr)
        return 130
    return status


def _end(number: int, frame: FrameType | None) -> None:
    # As an exception, so that all that was started is stopped on the way out.
    raise SystemExit(128 + number)


def _boots(options: argparse.Namespace, console: Console) -> int:
    if options.driver == "libvirt" and options.hosts != 1:
        console.line("--driver libvirt: this machine is one host; --hosts is 1")
        options.hosts = 1
    plan = cloud.Plan(
        driver=options.driver,
        hosts=options.hosts,
        has_flower=options.flower,
        is_kept=options.keep,
        extra=dict(options.set),
    )
    size = boots.Size(instances=options.instances, clients=options.concurrency, lists_1000=options.list_1000)
    with cloud.running(plan, console) as private:
        outcome = boots.run(private, size, console)
    said = {
        "benchmark": "boots",
        "driver": options.driver,
        "hosts": options.hosts,
        "instances": options.instances,
        "concurrency": options.concurrency,
        **({"settings": " ".join(f"{name}={value}" for name, value in options.set)} if options.set else {}),
    }
    _print(options, said, outcome, is_simulated=options.driver == "simulated")
    return 1 if outcome.failures else 0


def _decision(options: argparse.Namespace, console: Console) -> int:
    outcome = boots.Outcome(measures=decision.run(options.hosts, options.decisions, console))
    _print(options, {"benchmark": "decision", "decisions": options.decisions}, outcome)
    return 0


def _print(
    options: argparse.Namespace, said: dict[str, Any], outcome: boots.Outcome, *, is_simulated: bool = True
) -> None:
    hosts = options.hosts if isinstance(options.hosts, int) else 0
    wanted = targets(hosts, is_simulated=is_simulated)
    if options.json:
        print(json.dumps(report.as_json(said, outcome.measures, wanted, outcome.failures), indent=2))
    else:
        print(report.as_text(said, outcome.measures, wanted, outcome.failures))


# --- arguments --------------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./kilonova bench", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="BENCHMARK")
    add = commands.add_parser("boots", help="boot, list, get and delete through the API of a private cloud")
    add.add_argument("--instances", type=_count, default=100, help="how many to boot (default 100)")
    add.add_argument("--hosts", type=_count, default=20, help="how many simulated hosts (default 20)")
    add.add_argument("--concurrency", type=_count, default=8, help="clients at a time (default 8)")
    add.add_argument("--driver", choices=["simulated", "libvirt"], default="simulated")
    add.add_argument("--list-1000", action="store_true", help="fill up to 1,000 instances before the lists")
    add.add_argument("--flower", action="store_true", help="run Flower too, and let compute workers send it events")
    add.add_argument("--set", type=_setting, action="append", default=[], metavar="NAME=VALUE", help="a setting")
    add.add_argument("--keep", action="store_true", help="keep the state directory with the logs")
    add.add_argument("--json", action="store_true", help="the report as JSON")
    add.set_defaults(run=_boots)
    add = commands.add_parser("decision", help="one scheduling decision with its claim, against PostgreSQL alone")
    add.add_argument("--hosts", type=_count, nargs="+", default=[100, 1000, 10000], help="default 100 1000 10000")
    add.add_argument("--decisions", type=_count, default=200, help="how many decisions each (default 200)")
    add.add_argument("--json", action="store_true", help="the report as JSON")
    add.set_defaults(run=_decision)
    return parser


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number, 1 or more")
    return int(text)


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier() or not name.isupper():
        raise argparse.ArgumentTypeError(f"{text!r}: give NAME=VALUE, with a name of .env.example")
    return name, value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
