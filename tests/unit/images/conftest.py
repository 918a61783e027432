"""A cloud with three people of two projects, and an image store in a temporary directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.identity.wire import Wire
from tests.unit.people import PASSWORD, admin, ann, bob, cloud, person, rita  # noqa: F401 (fixtures of this folder)

V2 = "/image/v2/images"


@pytest.fixture(autouse=True)
def store(settings: Any, tmp_path: Path) -> Path:
    """The image store."""
    settings.IMAGES_DIR = tmp_path / "images"
    return tmp_path / "images"


def created(wire: Wire, **fields: Any) -> dict[str, Any]:
    """A queued image."""
    body = {"name": "im1", "disk_format": "qcow2", "container_format": "bare", **fields}
    reply = wire.post(V2, body)
    assert reply.status_code == 201, reply.content
    return dict(reply.json())


def uploaded(wire: Wire, image: dict[str, Any], data: bytes) -> Any:
    """The reply to an upload."""
    return wire.request("PUT", f"{V2}/{image['id']}/file", data, content_type="application/octet-stream")


def status(wire: Wire, image: dict[str, Any]) -> str:
    return str(wire.get(f"{V2}/{image['id']}").json()["status"])


def names(reply: Any) -> list[str]:
    """The names in a list of images."""
    assert reply.status_code == 200, reply.content
    return [image["name"] for image in reply.json()["images"]]
