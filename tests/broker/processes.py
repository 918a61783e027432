"""Real workers: a conductor on the database of the tests, and compute workers that know their settings file alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import connection

from tests.broker.brokers import Broker
from tests.running_cloud import ROOT, wait_for

CELERY = str(Path(sys.executable).with_name("celery"))


@dataclass
class Worker:
    """One worker process. `said` and `says` read its log from the last `listen` on."""

    process: subprocess.Popen[bytes]
    log: Path
    _from: int = 0

    @property
    def is_alive(self) -> bool:
        """The process that was started still runs."""
        return self.process.poll() is None

    def listen(self) -> None:
        """What it said until now does not count."""
        self._from = self.log.stat().st_size

    def said(self) -> str:
        """What it said since."""
        with self.log.open("rb") as stream:
            stream.seek(self._from)
            return stream.read().decode()

    def says(self, words: str) -> bool:
        """Waits until it has said that."""
        return bool(wait_for(f"{words!r} in {self.log}:\n{self.said()[-2000:]}", lambda: words in self.said(), 30))


@contextmanager
def conductor(broker: Broker, directory: Path) -> Iterator[Worker]:
    """A conductor that reads the broker's queues and decides on the rows of the tests' own database."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        url = f"sqlite:///{database['NAME']}"
    else:
        login = f"{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}"
        url = f"postgres://{login}/{database['NAME']}"
    environment = {
        "DJANGO_SETTINGS_MODULE": "cloud.settings",
        "SECRET_KEY": settings.SECRET_KEY,
        "HOST_KEYS_SECRET": settings.HOST_KEYS_SECRET,
        "KILONOVA_STATE_DIR": str(directory),
        "DATABASE_URL": url,
        "BROKER_URL": broker.settings["BROKER_URL"],
        "BROKER_CA_FILE": broker.settings.ca_file,
    }
    arguments = ["-Q", "conductor,scheduler", "-c", "1", "-n", "conductor@test"]
    with _worker("cloud.celery", arguments, environment, directory / "conductor.log") as worker:
        yield worker


@contextmanager
def compute(settings_file: Path, host: str, *, ca_file: str = "", is_control: bool = False) -> Iterator[Worker]:
    """One of a simulated host's two workers: all that it knows is in its settings file."""
    environment = {
        "KILONOVA_ENV_FILE": str(settings_file),
        "KILONOVA_DRIVER": "simulated",
        "KILONOVA_STATE_DIR": str(settings_file.parent / f"state-of-{host}"),
        "HEARTBEAT_INTERVAL": "1",
        **({"BROKER_CA_FILE": ca_file} if ca_file else {}),
        **({"KILONOVA_CTL": "1"} if is_control else {}),
    }
    queue = f"compute.{host}.ctl" if is_control else f"compute.{host}"
    arguments = ["-P", "threads", "-c", "2", "-Q", queue, "-n", f"{queue}@test", "--without-heartbeat"]
    with _worker("hypervisor.worker", arguments, environment, settings_file.parent / f"{queue}.log") as worker:
        yield worker


@contextmanager
def _worker(app: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[Worker]:
    plain = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "KILONOVA_ENV_FILE": os.devnull, "LOG_DIR": ""}
    command = [CELERY, "-A", app, "worker", *arguments, "--without-gossip", "--without-mingle"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**plain, **environment}, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    worker = Worker(process, log)
    try:
        wait_for(f"the worker of {log}", lambda: " ready." in worker.said() or not worker.is_alive, timeout=60)
        assert worker.is_alive, worker.said()[-3000:]
        yield worker
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
