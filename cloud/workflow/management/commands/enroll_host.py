"""`manage.py enroll_host NAME...`: makes compute hosts known, and gives each its key, its Redis user and its files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from cloud.broker_users import BrokerRefused, NotKept, has_users
from cloud.workflow import enrolment
from cloud.workflow.models import Host
from cloud.workflow.services import enroll_host
from cloud.workflow.tokens import host_key

NOWHERE = "-"


class Command(BaseCommand):
    """Enrols hosts. Running it again is safe, and gives the same; with `--rotate` old key and password stop working.

    Standard output is what goes into the host's `.env`, with remarks as comments. Several names are for one worker that
    serves several simulated hosts: `KILONOVA_HOST` and `KILONOVA_HOST_KEY` are comma separated then.
    """

    help = "Enrol a compute host: its key, its Redis user, its settings file and its certificates."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="+", metavar="name", help="the host's name, also its queue: compute.<name>")
        parser.add_argument("--rotate", action="store_true", help="a new key and password; the old ones stop working")
        parser.add_argument(
            "--settings-file",
            metavar="PATH",
            help=f"where its settings go; default <state directory>/hosts/<name>.env; {NOWHERE}: standard output",
        )
        parser.add_argument(
            "--address",
            action="append",
            default=[],
            help="an address or further name of the host, for its HOST_IP and its certificate; may be repeated",
        )
        parser.add_argument(
            "--no-broker-user", action="store_true", help="leave Redis alone: its users are made elsewhere"
        )

    def handle(self, *args: Any, names: list[str], **options: Any) -> None:
        for name in names:
            if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?", name) or name.endswith(".ctl"):
                raise CommandError(f"{name!r} is no host name: letters, digits, dots and dashes, not ending in .ctl")
        path, addresses = options["settings_file"], options["address"]
        if len(names) > 1 and ((path and path != NOWHERE) or addresses):
            raise CommandError("--settings-file and --address are about one host: enrol them one by one")
        hosts = [enroll_host(name=name, renews_key=options["rotate"]) for name in names]
        if len(hosts) == 1:
            for name, value in enrolment.settings_of(hosts[0]).items():
                self.stdout.write(f"{name}={value}")
        else:
            self.stdout.write(f"KILONOVA_HOST={','.join(host.name for host in hosts)}")
            self.stdout.write(f"KILONOVA_HOST_KEY={','.join(host_key(host) for host in hosts)}")
        if path != NOWHERE:
            for host in hosts:
                self._write_files(host, Path(path or settings.HOST_SETTINGS_DIR / f"{host.name}.env"), addresses)
        if not options["no_broker_user"]:
            for host in hosts:
                self._admit(host, ends_sessions=options["rotate"])

    def _write_files(self, host: Host, path: Path, addresses: list[str]) -> None:
        enrolment.write_settings(host, path, addresses)
        self._remark(f"settings file of {host.name}: {path}")
        certificates = path.with_name(f"{host.name}.pki")
        if enrolment.write_certificates(host, certificates, addresses):
            self._remark(f"certificates of {host.name}, its /etc/pki: {certificates}")

    def _admit(self, host: Host, *, ends_sessions: bool) -> None:
        if not has_users(settings.BROKER_ADMIN_URL):
            scheme = settings.BROKER_ADMIN_URL.partition(":")[0]
            self._remark(f"The broker is {scheme}://…, no Redis: it has no users, and {host.name} logs in as all do.")
            return
        try:
            enrolment.admit_to_broker(host, ends_sessions=ends_sessions)
        except NotKept as refused:
            self._remark(f"{host.name} is let in, but only until Redis ends: {refused.why}.")
            self._remark("To keep it, put this line into an ACL file of your Redis (`aclfile` in redis.conf):")
            self._remark(enrolment.broker_line(host))
        except BrokerRefused as refused:
            self.stderr.write(f"{host.name} is not let in by Redis: {refused.why}. Do it by hand:")
            self.stderr.write("put this line into its ACL file and run ACL LOAD (Redis 7 or later):")
            self.stderr.write(enrolment.broker_line(host))
            raise CommandError(f"{host.name} is enrolled, but its workers cannot log in before that") from refused

    def _remark(self, text: str) -> None:
        self.stdout.write(f"# {text}")
