"""A whole cloud of real processes in a temporary directory, by the command that a newcomer runs: `./kilonova up`.

It stands beside whatever else runs on the machine: free ports, a state directory and a subnet of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parent.parent
OPENSTACK = ROOT / ".venv" / "bin" / "openstack"


# Beginnings of names that are about another cloud, or about the test run.
FOREIGN = ("KILONOVA_", "DATABASE_URL", "BROKER_URL", "SECRET_KEY", "HOST_KEYS_SECRET", "TEST_", "DJANGO_", "OS_")


def clean_environment() -> dict[str, str]:
    """The environment of this test run without what it says about a cloud."""
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, check: Callable[[], Any], timeout: float = 120.0) -> Any:
    """The first true answer of `check`, asked ten times a second. AssertionError naming `what` after `timeout`."""
    until = time.monotonic() + timeout
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > until:
            raise AssertionError(f"{what}: not within {timeout:g} s")
        time.sleep(0.1)


@dataclass
class RunningCloud:
    """Started by `up`; `down` removes all that it made, guests and networks too."""

    state_dir: Path
    settings: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    base: str = ""

    @classmethod
    def of(cls, state_dir: Path) -> RunningCloud:
        """A cloud that is up already."""
        lines = (state_dir / "kilonova.env").read_text().splitlines()
        port = next(line.split("=", 1)[1] for line in lines if line.startswith("API_PORT="))
        cloud = cls(state_dir, environment={**os.environ, "KILONOVA_STATE_DIR": str(state_dir)})
        cloud.base = f"http://127.0.0.1:{port}"
        return cloud

    def up(self, *arguments: str) -> str:
        """`./kilonova up`; what it printed."""
        ports = {name: str(free_port()) for name in ("API_PORT", "FLOWER_PORT", "REDIS_PORT")}
        # A host name of its own: queues, service rows and the domain list are this cloud's alone.
        own = {"KILONOVA_STATE_DIR": str(self.state_dir), "KILONOVA_HOST": f"t{ports['API_PORT']}", **ports}
        self.environment = {**clean_environment(), **own, **self.settings}
        self.base = f"http://127.0.0.1:{ports['API_PORT']}"
        return self.kilonova("up", *arguments)

    def kilonova(self, *arguments: str, check: bool = True) -> str:
        """One `./kilonova` command against this cloud; what it printed."""
        done = subprocess.run(
            [ROOT / "kilonova", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
        )
        assert not check or done.returncode == 0, f"kilonova {' '.join(arguments)}:\n{done.stdout[-6000:]}"
        return done.stdout

    def down(self) -> None:
        """Stops everything and removes what the cloud made."""
        self.kilonova("down", "--purge")
        shutil.rmtree(self.state_dir, ignore_errors=True)

    # --- as its users ---

    def openstack(self, *arguments: str, status: int = 0) -> str:
        """The unmodified `openstack` client, by `OS_CLOUD=kilonova`; asserts its exit status."""
        environment = {
            **self.environment,
            "OS_CLIENT_CONFIG_FILE": str(self.state_dir / "clouds.yaml"),
            "OS_CLOUD": "kilonova",
        }
        done = subprocess.run(
            [OPENSTACK, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == status, f"openstack {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout if status == 0 else done.stderr

    def openstack_json(self, *arguments: str) -> Any:
        """The same, with `-f json`, read."""
        return json.loads(self.openstack(*arguments, "-f", "json"))

    def token(self) -> str:
        """A token of the admin in the project admin."""
        secrets = dict(
            line.split("=", 1) for line in (self.state_dir / "kilonova.env").read_text().splitlines() if "=" in line
        )
        user = {"name": "admin", "domain": {"id": "default"}, "password": secrets["ADMIN_PASSWORD"].strip("'\"")}
        body = {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": {"name": "admin", "domain": {"id": "default"}}},
            }
        }
        answer = requests.post(f"{self.base}/identity/v3/auth/tokens", json=body, timeout=30)
        answer.raise_for_status()
        return answer.headers["X-Subject-Token"]

    def call(self, method: str, path: str, **body: Any) -> requests.Response:
        """One request of the compute API at the highest microversion."""
        if not hasattr(self, "_token"):
            self._token = self.token()
        headers = {"X-Auth-Token": self._token, "OpenStack-API-Version": "compute 2.96"}
        url = f"{self.base}/compute/v2.1{path}"
        return requests.request(method, url, headers=headers, json=body or None, timeout=60)

    def is_well(self) -> bool:
        """Whether `/healthcheck` says so."""
        try:
            return requests.get(f"{self.base}/healthcheck", timeout=10).status_code == 200
        except OSError:
            return False

    def server(self, server_id: str) -> dict[str, Any]:
        """A server as the API shows it."""
        answer = self.call("GET", f"/servers/{server_id}")
        answer.raise_for_status()
        return answer.json()["server"]

    def status_of(self, server_id: str) -> str | None:
        """Its status; None once it is gone."""
        answer = self.call("GET", f"/servers/{server_id}")
        return None if answer.status_code == 404 else answer.json()["server"]["status"]

    # --- as its operator ---

    def pid_of(self, process: str) -> int:
        """The process id of a supervised process."""
        for line in self.kilonova("status", check=False).splitlines():
            words = line.replace(",", " ").split()
            if process in words and "pid" in words:
                return int(words[words.index("pid") + 1])
        raise AssertionError(f"no process {process}")

    def manage(self, *arguments: str) -> str:
        """Django's manage.py with this cloud's settings."""
        return self.kilonova("manage", *arguments)

    def count(self, model: str, **filters: Any) -> int:
        """How many rows of `app.Model` there are in the cloud's database."""
        code = (
            "from django.apps import apps; import json; "
            f"print('ROWS', apps.get_model({model!r}).objects.filter(**json.loads({json.dumps(filters)!r})).count())"
        )
        out = self.manage("shell", "-c", code)
        return int(next(line.split()[1] for line in out.splitlines() if line.startswith("ROWS")))


def virsh(*arguments: str) -> str:
    """virsh on the machine's own libvirt."""
    done = subprocess.run(["virsh", "-c", "qemu:///system", *arguments], capture_output=True, text=True, timeout=60)
    return done.stdout
