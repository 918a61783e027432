"""One cloud for the tests here: API, conductors, beat, Flower, a simulated host; Redis and PostgreSQL of its own.

A host is down after 15 s and not 60: what lasts more than a minute with the defaults lasts 20 s here. The lease is the
default, 15 s.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import requests

from benchmarks import cloud as private
from benchmarks.cloud import Plan, PrivateCloud
from cloud.embedded import settings as settings_
from cloud.embedded import supervisor
from cloud.embedded.programs import BROKER
from cloud.embedded.progress import Console
from tests.running_cloud import wait_for

LEASE = 15.0
DOWN_AFTER = 15.0
TIMES = {"SWEEP_INTERVAL": "2", "LEASE": str(LEASE), "HEARTBEAT_INTERVAL": "3", "DOWN_AFTER": str(DOWN_AFTER)}


@dataclass
class AbsenceCloud:
    """The running cloud as its user, and as who breaks it."""

    running: PrivateCloud
    state_dir: Path
    token: str = ""
    slowest: dict[str, float] = field(default_factory=dict)

    # --- as its user ---

    def log_in(self) -> None:
        """A token of the admin, taken while all is well."""
        user = {"name": "admin", "domain": {"id": "default"}, "password": self.running.admin_password}
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        auth = {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}
        answer = requests.post(f"{self.running.url}/identity/v3/auth/tokens", json={"auth": auth}, timeout=30)
        answer.raise_for_status()
        self.token = answer.headers["X-Subject-Token"]

    def call(self, method: str, path: str, body: Any = None, timeout: float = 30.0) -> requests.Response:
        """One request of the compute API; how long the slowest of each method took is kept."""
        begun = time.monotonic()
        headers = {"X-Auth-Token": self.token, "OpenStack-API-Version": "compute 2.96"}
        url = f"{self.running.url}{path}"
        answer = requests.request(method, url, headers=headers, json=body, timeout=timeout)
        self.slowest[method] = max(self.slowest.get(method, 0.0), time.monotonic() - begun)
        return answer

    def boot(self, count: int = 1) -> requests.Response:
        """Asks for instances without a network."""
        server = {
            "name": "absent",
            "imageRef": self.running.image,
            "flavorRef": self.running.flavor,
            "networks": "none",
            "min_count": count,
        }
        return self.call("POST", "/compute/v2.1/servers", {"server": server})

    # --- what came of it ---

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows, read past the API."""
        connection = psycopg2.connect(self.running.database)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall()
        finally:
            connection.close()

    def actions(self) -> dict[str, int]:
        """How many actions are in which state."""
        return dict(self.query("select state, count(*) from workflow_action group by state"))

    def all_ended(self) -> bool:
        """No action is alive."""
        return not set(self.actions()) & {"PENDING", "RUNNING", "UNWINDING"}

    def states(self) -> dict[str, int]:
        """How many living instances are in which state."""
        sql = "select vm_state, count(*) from instances_instance where deleted_at is null group by vm_state"
        return dict(self.query(sql))

    def was_marked_down(self) -> bool:
        """Whether the conductors ever gave the host up."""
        return "host bench-1 is down" in (self.state_dir / "logs" / "conductor.log").read_text()

    def is_well(self) -> bool:
        """Whether `/healthcheck` says so."""
        try:
            return requests.get(f"{self.running.url}/healthcheck", timeout=10).status_code == 200
        except OSError:
            return False

    def flower_answers(self) -> bool:
        """Whether Flower serves its pages; it wants a login."""
        port = self.setting("FLOWER_PORT")
        try:
            return requests.get(f"http://127.0.0.1:{port}/", timeout=10).status_code in (200, 401)
        except OSError:
            return False

    # --- as who breaks it ---

    def setting(self, name: str) -> str:
        """A setting of the cloud, as `./kilonova` keeps it."""
        for line in (self.state_dir / "kilonova.env").read_text().splitlines():
            if line.startswith(f"{name}="):
                return line.split("=", 1)[1].strip("'\"")
        raise AssertionError(f"no setting {name}")

    def pids(self) -> dict[str, int]:
        """The root process of each program, as the supervisor has it now."""
        found = supervisor.processes(self._settings())
        return {process.name: process.pid for process in found if process.is_running}

    def _settings(self) -> settings_.Settings:
        return settings_.from_values({"KILONOVA_STATE_DIR": str(self.state_dir)})

    def redis(self, *command: str) -> str:
        """redis-cli as the cloud's own user."""
        address = ["-p", self.setting("REDIS_PORT"), "-a", self.setting("REDIS_PASSWORD"), "--no-auth-warning"]
        done = subprocess.run(["redis-cli", *address, *command], capture_output=True, text=True, timeout=20, check=True)
        return done.stdout.strip()

    @contextmanager
    def standing_still(self, *programs: str) -> Iterator[None]:
        """The programs are stopped where they are (SIGSTOP) for the time of the body."""
        pids = [self.pids()[name] for name in programs]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    @contextmanager
    def without_redis(self) -> Iterator[None]:
        """Nobody listens on its port for the time of the body."""
        settings = self._settings()
        supervisor.stop_group(settings, BROKER)
        try:
            yield
        finally:
            supervisor.start_group(settings, BROKER)

    @contextmanager
    def without_postgres(self) -> Iterator[None]:
        """PostgreSQL is killed, as by a power cut, for the time of the body; then it is started as it was."""
        pid = private.postmaster(self.running.database)
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().rstrip("\0").split("\0")
        os.kill(pid, signal.SIGQUIT)
        wait_for("PostgreSQL to be gone", lambda: not Path(f"/proc/{pid}").exists(), timeout=20)
        try:
            yield
        finally:
            directory = Path(command[command.index("-D") + 1])
            with open(directory.parent / "log", "ab") as log:
                subprocess.Popen(
                    ["runuser", "-u", "postgres", "--", *command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    start_new_session=True,
                )
            wait_for("PostgreSQL to be back", self._database_answers, timeout=30)

    def _database_answers(self) -> bool:
        try:
            self.query("select 1")
        except psycopg2.OperationalError:
            return False
        return True

    def has_begun(self, step: str) -> bool:
        """Whether the host's journal has that step begun, for any target."""
        logs = (self.state_dir / "journal").glob("*/log")
        return any(f'"name":"{step}"' in log.read_text() for log in logs)

    def slow_down(self, call: str, seconds: float) -> None:
        """From here on each such call of the simulated driver takes so long."""
        directory = self.state_dir / "simulated"
        directory.mkdir(exist_ok=True)
        (directory / "faults.json").write_text(json.dumps({call: {"delay": seconds}}))

    def at_full_speed(self) -> None:
        """As it was."""
        (self.state_dir / "simulated" / "faults.json").unlink(missing_ok=True)

    def begin(self, number: int = 20, seconds: float = 1.0) -> Callable[..., None]:
        """Asks for boots, each of which takes so long at least, and waits until some of them are at work; gives what
        asserts that every one ended well."""
        before = self.states().get("active", 0)
        self.slow_down("disks.create", seconds)
        assert self.boot(number).status_code == 202
        wait_for("steps at work", lambda: self.actions().get("RUNNING", 0) > number // 2, timeout=30)

        def assert_all_ended_well(asked: int = number) -> None:
            wait_for("all operations to end", self.all_ended, timeout=60)
            assert self.states() == {"active": before + asked}
            assert not self.actions().get("STUCK")
            usage = "select sum(vcpus) from scheduling_allocation"
            assert self.query(usage) == self.query("select sum(used_vcpus) from scheduling_computenode")

        return assert_all_ended_well


@pytest.fixture(scope="module")
def running() -> Iterator[AbsenceCloud]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    plan = Plan(hosts=1, has_flower=True, extra={**TIMES, "STEP_THREADS": "4"})
    try:
        with private.running(plan, Console(io.StringIO())) as cloud:
            # Redis runs in `<state directory>/redis`.
            made = AbsenceCloud(cloud, Path(os.readlink(f"/proc/{cloud.roots['redis']}/cwd")).parent)
            made.log_in()
            yield made
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@pytest.fixture
def absent(running: AbsenceCloud) -> Iterator[AbsenceCloud]:
    """The cloud, idle and well before the test, and empty after it."""
    wait_for("the cloud to be well", running.is_well, timeout=60)
    wait_for("its host to be up", lambda: running.query("select is_up from workflow_host") == [(True,)], timeout=60)
    running.slowest.clear()
    yield running
    running.at_full_speed()
    wait_for("the cloud to be well", running.is_well, timeout=60)
    for server in running.call("GET", "/compute/v2.1/servers").json()["servers"]:
        running.call("DELETE", f"/compute/v2.1/servers/{server['id']}")
    wait_for("the deletes", lambda: running.all_ended() and not running.states(), timeout=60)
