"""`simulated`: a cloud of real processes with simulated hosts, for tests that break it at a moment of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from cloud.embedded.progress import Console
from tests.chaos import cloud as cloud_
from tests.chaos.cloud import ChaosCloud, Plan


@pytest.fixture(scope="package")
def simulated() -> Iterator[ChaosCloud]:
    """One for all tests here, with SQLite and the short times of `cloud.SHORT`."""
    with cloud_.running(Plan(), Console(sys.stderr)) as cloud:
        yield cloud
