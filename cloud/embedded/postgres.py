"""A PostgreSQL of the test run's own: its data in a temporary directory, on a free port, gone at the end."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cloud.embedded.trouble import Trouble

BINARIES = Path("/usr/lib/postgresql")
USER = "postgres"  # PostgreSQL refuses to run as root; Debian's package makes this user

# Nothing here outlives the run, so nothing needs to reach the disk.
OPTIONS = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200"


@contextmanager
def running() -> Iterator[str]:
    """A fresh server for the time of the body; gives its URL, for a superuser with a password made for it."""
    binaries = _binaries()
    directory = Path(tempfile.mkdtemp(prefix="kilonova-postgres-"))
    data, log, password = directory / "data", directory / "log", secrets.token_hex(12)
    try:
        secret = directory / "password"
        secret.write_text(password)
        for path in (directory, secret):
            shutil.chown(path, USER, USER)
            path.chmod(0o700 if path.is_dir() else 0o400)
        _as_postgres(
            [
                *(str(binaries / "initdb"), "-D", str(data), "-U", "kilonova", "-A", "scram-sha-256"),
                *("-E", "UTF8", "--locale=C.UTF-8", "--no-sync", f"--pwfile={secret}"),
            ]
        )
        port = _free_port()
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {directory} {OPTIONS}"
        control = [str(binaries / "pg_ctl"), "-D", str(data), "-w"]
        _as_postgres([*control, "-l", str(log), "-o", options, "start"], log)
        try:
            yield f"postgres://kilonova:{password}@127.0.0.1:{port}/postgres"
        finally:
            _as_postgres([*control, "-m", "fast", "stop"], log)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _binaries() -> Path:
    versions = sorted(BINARIES.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if not versions:
        raise Trouble(f"no PostgreSQL under {BINARIES}: install the package postgresql")
    return versions[-1].parent


def _as_postgres(command: list[str], log: Path | None = None) -> None:
    prefix = ["runuser", "-u", USER, "--"] if os.geteuid() == 0 and pwd.getpwnam(USER) else []
    # The server inherits the output: into a file, or `run` would wait for the server to end.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            [*prefix, *command], cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
        )
        if done.returncode != 0:
            output.seek(0)
            raise Trouble(f"{' '.join(command)} failed", details=output.read(), log=log)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
