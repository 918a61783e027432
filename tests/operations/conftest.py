"""A cloud in a box for each test: two simulated hosts, empty queues; and its operator at the console."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from cloud.identity.bootstrap import bootstrap
from cloud.identity.models import User
from tests.operations.cloud_in_a_box import CloudInABox


@pytest.fixture
def box(tmp_path: Path, transactional_db: Any) -> Iterator[CloudInABox]:
    cloud = CloudInABox(tmp_path)
    cloud.drain()
    for name in ("h1", "h2"):
        cloud.add_host(name)
    yield cloud
    cloud.drain()
    for executor in cloud.executors.values():
        executor.driver.close()


@pytest.fixture
def operator(db: None) -> Client:
    """The admin of a cloud, logged in to the console."""
    bootstrap(admin_password="correct horse")
    client = Client()
    client.force_login(User.objects.get(name="admin"))
    return client
