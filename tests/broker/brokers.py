"""A Redis of the product's making on a free port: its configuration, its users, and TLS when it is asked for."""

from __future__ import annotations

import base64
import json
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from cloud import broker_users
from cloud.embedded import redis as embedded_redis
from cloud.embedded import settings as settings_
from cloud.embedded import state, tls
from cloud.embedded.settings import Settings
from tests.running_cloud import free_port, wait_for

HOST_KEYS = {"h1": "the key of h1", "h2": "the key of h2"}


@dataclass(frozen=True)
class Broker:
    """One that runs. `settings` are those of the embedded cloud that it belongs to."""

    settings: Settings

    @property
    def admin(self) -> redis.Redis:
        """Who may do everything."""
        return self.client(self.settings.broker_admin_url)

    def host(self, name: str, key: str = "") -> redis.Redis:
        """Logged in as that host."""
        return self.client(self.settings.broker_url_of(name, key or HOST_KEYS[name]))

    def admit(self, name: str, key: str = "", **options: Any) -> None:
        """As `manage.py enroll_host` does."""
        url, ca_file = self.settings.broker_admin_url, self.settings.ca_file
        broker_users.admit(url, name, key or HOST_KEYS[name], ca_file=ca_file, **options)

    def client(self, url: str) -> redis.Redis:
        """Logged in as the URL says."""
        trust = {"ssl_ca_certs": self.settings.ca_file} if self.settings.has_tls else {}
        return redis.Redis.from_url(url, **trust)


@contextmanager
def running(directory: Path, *, has_tls: bool = False) -> Iterator[Broker]:
    """A Redis for the time of the body, with h1 and h2 enrolled under HOST_KEYS."""
    ports = {name: str(free_port()) for name in ("API_PORT", "FLOWER_PORT", "REDIS_PORT")}
    said = {"KILONOVA_STATE_DIR": str(directory), "KILONOVA_DRIVER": "simulated", "KILONOVA_HOST": "controller"}
    settings = settings_.from_values({**said, **ports, "ROLES": "api,conductor", "TLS": "on" if has_tls else "off"})
    state.prepare(settings)
    tls.ensure(settings)
    settings_.remember(settings)
    embedded_redis.write_config(settings)
    log = (directory / "redis.log").open("wb")
    command = ["redis-server", str(embedded_redis.config_path(settings))]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    broker = Broker(settings)
    try:
        wait_for("Redis", lambda: _answers(broker), timeout=20)
        for name in HOST_KEYS:
            broker.admit(name)
        yield broker
    finally:
        process.terminate()
        process.wait(timeout=30)
        log.close()


def _answers(broker: Broker) -> bool:
    try:
        return bool(broker.admin.ping())
    except redis.exceptions.ConnectionError:
        return False


def message(task: str, *args: Any, embedded: dict[str, Any] | None = None, **changes: dict[str, Any]) -> dict[str, Any]:
    """A message as Celery puts it on a queue; `changes` go over its headers and properties."""
    task_id = str(uuid.uuid4())
    body = [list(args), {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None, **(embedded or {})}]
    headers = {"lang": "py", "task": task, "id": task_id, "root_id": task_id, "parent_id": None, "group": None}
    headers |= {"retries": 0, "eta": None, "expires": None, "timelimit": [None, None], "origin": "a host"}
    properties = {"correlation_id": task_id, "body_encoding": "base64", "delivery_tag": str(uuid.uuid4())}
    properties |= {"delivery_info": {"exchange": "", "routing_key": "conductor"}, "delivery_mode": 2, "priority": 0}
    return {
        "body": base64.b64encode(json.dumps(body).encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {**headers, **changes.get("headers", {})},
        "properties": {**properties, **changes.get("properties", {})},
    }
