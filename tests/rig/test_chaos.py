"""Six kills under real guests: workers, libvirtd, a conductor, a host's power. `./kilonova chaos --rig` deals 30."""

from __future__ import annotations

import json
import random
import sys

import pytest

from cloud.embedded.progress import Console
from tests.chaos import on_rig
from tests.rig.rig import Rig

pytestmark = [pytest.mark.rig, pytest.mark.real, pytest.mark.chaos]

KILLS = 6


def test_nothing_is_lost_doubled_or_left_behind_on_real_hosts_whatever_is_killed(rig: Rig) -> None:
    seed = random.randrange(1, 1 << 31)
    print(f"seed {seed}: repeat it with ./kilonova chaos --rig --seed {seed} --kills {KILLS}")
    outcome = on_rig.run_on(rig, seed=seed, kills=KILLS, console=Console(sys.stderr))
    print(json.dumps(outcome.figures, indent=2))
    assert outcome.is_well, "\n\n".join(outcome.timelines)
    assert outcome.figures["kills"] == KILLS
    assert outcome.figures["operations"] > KILLS, "hardly anything was asked of the cloud: this proved nothing"
    assert outcome.figures["server_errors"] == []
