"""`manage.py enroll_host NAME...`: makes compute hosts known and prints the settings that are their own."""

from __future__ import annotations

import re
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from cloud.workflow.services import enroll_host
from cloud.workflow.tokens import host_key


class Command(BaseCommand):
    """Prints `KILONOVA_HOST` and `KILONOVA_HOST_KEY`, to be put into the host's `.env`. Running it again is safe.

    Several names are for one worker that serves several simulated hosts: both lines are comma separated then.
    """

    help = "Enrol a compute host and print its own settings."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="+", metavar="name", help="the host's name, also its queue: compute.<name>")

    def handle(self, *args: Any, names: list[str], **options: Any) -> None:
        for name in names:
            if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?", name) or name.endswith(".ctl"):
                raise CommandError(f"{name!r} is no host name: letters, digits, dots and dashes, not ending in .ctl")
        hosts = [enroll_host(name=name) for name in names]
        self.stdout.write(f"KILONOVA_HOST={','.join(host.name for host in hosts)}")
        self.stdout.write(f"KILONOVA_HOST_KEY={','.join(host_key(host) for host in hosts)}")
