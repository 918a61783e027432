"""Twenty mixed requests at once on three real guests of three real hosts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.requests_at_once import STABLE, come_to_rest, race, send_mixed
from tests.rig.rig import Rig

pytestmark = [pytest.mark.rig, pytest.mark.real]


def test_mixed_requests_at_once_leave_every_guest_and_its_row_of_one_mind(rig: Rig, boot: Callable[..., str]) -> None:
    servers = [boot(f"crowd-{host}", host) for host in rig.hosts]
    assert race(rig, servers[0], ("os-stop", None), ("pause", None)) == [202, 409]
    come_to_rest(rig, servers)
    answers = send_mixed(rig, servers, count=20, threads=6, seed=3)
    assert set(answers) <= {202, 409}, answers
    assert answers[202] >= 3, answers
    rested = come_to_rest(rig, servers)
    assert set(rested.values()) <= STABLE, rested
    assert rig.invariants() == []
