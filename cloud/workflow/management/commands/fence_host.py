"""`manage.py fence_host NAME [--confirm]`: switches off a host that is down, or notes that you made sure that it is."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from cloud.errors import CloudError
from cloud.workflow import fencing
from cloud.workflow.models import Host
from cloud.workflow.services import confirm_fenced

_POLL = 0.2


class Command(BaseCommand):
    """A conductor runs the host's fence command; this waits for what comes of it."""

    help = "Switch off a compute host that is down by its fence command, or confirm that it is off."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the host")
        parser.add_argument(
            "--confirm", action="store_true", help="run nothing: you have made sure that the machine is off"
        )

    def handle(self, *args: Any, name: str, confirm: bool, **options: Any) -> None:
        host = Host.objects.filter(name=name).first()
        if host is None:
            raise CommandError(f"there is no host {name!r}; there are: {', '.join(_names()) or 'none'}")
        try:
            if confirm:
                confirm_fenced(host)
            else:
                fencing.ask(host)
                host = self._result(host)
        except CloudError as error:
            raise CommandError(error.message) from None
        if not (confirm or host.is_fenced):
            raise CommandError(f"host {name} is not confirmed off: {host.fence_said}")
        self.stdout.write(f"host {name} is confirmed off")

    @staticmethod
    def _result(host: Host) -> Host:
        until = time.monotonic() + settings.FENCE_TIMEOUT + 3 * settings.SWEEP_INTERVAL
        while host.fence_asked_at is not None or not host.fence_said:
            if time.monotonic() > until:
                raise CommandError(f"no conductor ran the fence command of host {host.name} yet; it stays asked for")
            time.sleep(_POLL)
            host.refresh_from_db()
        return host


def _names() -> list[str]:
    return list(Host.objects.values_list("name", flat=True)[:20])
