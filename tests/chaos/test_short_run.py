"""The short form of `./kilonova chaos`: 40 kills in under two minutes, with a new seed each time, which is printed."""

from __future__ import annotations

import json
import random
import sys

import pytest

from cloud.embedded.progress import Console
from tests.chaos import run
from tests.chaos.cloud import Plan

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize(
    ("on_postgres", "kills", "seconds"),
    [
        pytest.param(False, 40, 90.0, id="sqlite"),
        pytest.param(True, 20, 45.0, id="postgresql", marks=pytest.mark.postgres),
    ],
)
def test_nothing_is_lost_doubled_or_left_behind_whatever_is_killed(
    on_postgres: bool, kills: int, seconds: float
) -> None:
    seed = random.randrange(1, 1 << 31)
    print(f"seed {seed}: repeat it with ./kilonova chaos --seed {seed} --kills {kills} --minutes {seconds / 60:g}")
    order = run.Order(seed=seed, seconds=seconds, kills=kills, plan=Plan(on_postgres=on_postgres))
    outcome = run.run(order, Console(sys.stderr))
    print(json.dumps(outcome.figures, indent=2))
    assert outcome.is_well, "\n\n".join(outcome.timelines)
    assert outcome.figures["kills"] == kills
    assert outcome.figures["operations"] > kills, "hardly anything was asked of the cloud: this proved nothing"
    assert outcome.figures["server_errors"] == []
