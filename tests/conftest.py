"""Fixtures of all tests: which database, and the markers that need more than Python."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from tests.running_cloud import RunningCloud


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What needs a PostgreSQL runs on the second pass of `./kilonova test`, which starts one."""
    if settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):
        return
    without = pytest.mark.skip(
        reason="needs TEST_DATABASE_URL=postgres://…; `./kilonova test` runs it on a second pass"
    )
    for item in items:
        if "postgres" in item.keywords:
            item.add_marker(without)


@pytest.fixture(scope="session")
def cloud() -> Iterator[RunningCloud]:
    """One cloud on real libvirt and QEMU for all tests that want one: `./kilonova up` in a temporary directory."""
    running = os.environ.get("TEST_CLOUD")  # a state directory: for whoever writes tests and has a cloud up already
    if running:
        yield RunningCloud.of(Path(running))
        return
    state_dir = Path(tempfile.mkdtemp(prefix="kn-wire-", dir="/var/lib"))
    cloud = RunningCloud(state_dir)
    try:
        cloud.up("--no-demo", "--seed")
        yield cloud
    finally:
        cloud.down()
