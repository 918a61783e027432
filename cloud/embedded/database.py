"""Django's command line, run as a process of its own with this cloud's settings: the only way in to the database."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from cloud.embedded.programs import tool
from cloud.embedded.settings import CHECKOUT, Settings
from cloud.embedded.supervisor import clean_environment
from cloud.embedded.trouble import Trouble


def environment(settings: Settings, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a command with the database gets: the settings come from the file that is named here; and the login that
    may make users of the embedded Redis, which no process of the cloud has and `enroll_host` needs."""
    admin = {"BROKER_ADMIN_URL": settings.broker_admin_url} if settings.has_embedded_broker else {}
    return {
        **clean_environment(),
        **admin,
        "KILONOVA_ENV_FILE": str(settings.env_file),
        "DJANGO_SETTINGS_MODULE": "cloud.settings",
        **(extra or {}),
    }


def run(settings: Settings, *arguments: str) -> str:
    """`manage.py ARGUMENTS`; gives its standard output, raises with what it said when it fails."""
    # Its log lines belong beside the answer, not into a file of the services.
    done = subprocess.run(
        [tool("python"), "manage.py", *arguments],
        cwd=CHECKOUT,
        env=environment(settings, {"LOG_DIR": ""}),
        umask=0o077,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Trouble(f"manage.py {' '.join(arguments)} failed", details=done.stdout + done.stderr)
    return done.stdout


def replace_process(settings: Settings, command: Sequence[str]) -> None:
    """Becomes the command, on this terminal; does not return."""
    os.chdir(CHECKOUT)
    terminal = {name: os.environ[name] for name in ("TERM", "COLUMNS", "LINES", "EDITOR") if name in os.environ}
    os.execve(command[0], list(command), environment(settings, terminal))
