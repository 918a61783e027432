"""A cloud in a box for each test: two simulated hosts, empty queues."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
