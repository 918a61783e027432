"""`rig`: one rig of three hosts for all tests that want one. `boot`: servers that are gone when the test is over."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.rig.rig import Rig


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    """h1 and h2 on shared storage, h3 on a disk of its own. TEST_RIG=<rig's directory> names one that is up already."""
    assert os.geteuid() == 0, "the rig needs root: it makes namespaces and runs libvirt in them"
    running = os.environ.get("TEST_RIG")
    if running:
        yield Rig.of(Path(running))
        return
    rig = Rig.up_in(Path(tempfile.mkdtemp(prefix="kn-rig-", dir="/var/lib")))
    try:
        yield rig
    finally:
        rig.down()


@pytest.fixture
def boot(rig: Rig) -> Iterator[Callable[..., str]]:
    """`Rig.boot`. When the test is over each host has power, and each server is deleted with nothing left of it."""
    made: list[str] = []

    def booted(*arguments: str, **more: str) -> str:
        made.append(rig.boot(*arguments, **more))  # type: ignore[arg-type]
        return made[-1]

    yield booted
    for host in rig.hosts:
        if not rig.has_power(host):
            rig.start(host)
    rig.delete(*made)
    assert {server: left for server in made if (left := rig.left_of(server))} == {}
