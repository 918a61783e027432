"""`manage.py doctor [--fix] [--json]`: what is wrong between the database and the hosts, and its repair."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from instances.doctor.examination import HOST_PATIENCE, examine
from instances.doctor.repair import ACTION_PATIENCE, Repairs, repair_all
from instances.doctor.report import as_json, as_text, is_anything_left


class Command(BaseCommand):
    """Says on stderr what it is doing, and on stdout what it found."""

    help = (
        "Compares the database with itself and with every host: domains, disks, base images, networks, leases, "
        "allocations, ports and counters. It may run at any time. Exit status: 0 when nothing is wrong, or all of it "
        "was repaired; 1 when something is left."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--fix", action="store_true", help="repair what is safe to repair, and say what was left")
        parser.add_argument("--json", action="store_true", help="the report as JSON, on stdout")
        parser.add_argument(
            "--host-timeout", type=float, default=HOST_PATIENCE, metavar="S", help="seconds that hosts have to answer"
        )
        parser.add_argument(
            "--fix-timeout", type=float, default=ACTION_PATIENCE, metavar="S", help="seconds that repairs have to end"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        patience = options["host_timeout"]
        if options["fix"]:
            fixing = options["fix_timeout"]
            examination, repairs = repair_all(say=self._say, host_patience=patience, patience=fixing)
        else:
            examination, repairs = examine(say=self._say, patience=patience), Repairs()
        if options["json"]:
            self.stdout.write(json.dumps(as_json(examination, repairs), indent=2))
        else:
            self.stdout.write(as_text(examination, repairs, fixing=options["fix"]))
        if is_anything_left(examination, repairs):
            sys.exit(1)

    def _say(self, line: str) -> None:
        self.stderr.write(f"doctor: {line}")
