"""A user of a running cloud who sends what no client would, and what an operator counts before and after."""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.running_cloud import RunningCloud

COUNTED = ("instances.Instance", "networks.Port", "scheduling.Allocation", "workflow.Action", "images.Image")
LATEST = {"OpenStack-API-Version": "compute 2.96"}


@dataclass(frozen=True)
class Census:
    """Rows by model, and names of files by directory."""

    rows: dict[str, int]
    files: dict[str, tuple[str, ...]]


def census(cloud: RunningCloud) -> Census:
    """What there is, in one start of Django."""
    code = (
        "from django.apps import apps; import json; "
        f"print('ROWS', json.dumps({{m: apps.get_model(m).objects.count() for m in {COUNTED!r}}}))"
    )
    out = cloud.manage("shell", "-c", code)
    rows = json.loads(next(line for line in out.splitlines() if line.startswith("ROWS")).removeprefix("ROWS"))
    directories = {name: cloud.state_dir / name for name in ("images", "instances", "base")}
    files = {
        name: tuple(sorted(path.name for path in directory.iterdir() if path.suffix != ".lock"))
        for name, directory in directories.items()
        if directory.exists()
    }
    return Census(rows=rows, files=files)


@dataclass(frozen=True)
class HostileUser:
    """Somebody with a token, or without one that is any good."""

    cloud: RunningCloud
    token: str

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        """One request; `body` is JSON, or bytes as they are."""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        sent = {"X-Auth-Token": self.token, "Content-Type": "application/json", **LATEST, **headers}
        return requests.request(method, self.cloud.base + path, data=data, headers=sent, timeout=60)

    def ok(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The same; asserts that it was accepted, and gives the JSON of the answer."""
        reply = self.send(method, path, body, **headers)
        assert reply.ok, f"{method} {path}: {reply.status_code} {reply.text[:500]}"
        return reply.json() if reply.content else None

    def boot(self, server: dict[str, Any]) -> requests.Response:
        return self.send("POST", "/compute/v2.1/servers", {"server": server})

    def queued_image(self, disk_format: str = "qcow2") -> str:
        wanted = {"name": f"bad-{uuid.uuid4().hex[:8]}", "disk_format": disk_format, "container_format": "bare"}
        return str(self.ok("POST", "/image/v2/images", wanted)["id"])

    def upload(self, image_id: str, data: bytes) -> requests.Response:
        return self.send(
            "PUT", f"/image/v2/images/{image_id}/file", data, **{"Content-Type": "application/octet-stream"}
        )

    def image_status(self, image_id: str) -> str:
        return str(self.ok("GET", f"/image/v2/images/{image_id}")["status"])


def raw_status(base: str, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> int:
    """The status of a request whose path goes as it is; `requests` would tidy it."""
    at = urlsplit(base)
    connection = http.client.HTTPConnection(str(at.hostname), at.port, timeout=60)
    try:
        connection.request(method, path, body, dict(headers))
        return connection.getresponse().status
    finally:
        connection.close()
