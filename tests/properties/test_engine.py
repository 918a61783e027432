"""Any interleaving of deliver, drop, duplicate, reorder, crash and sweep keeps the invariants.

A failure prints the steps that lead to it, and the seed that finds it again: `PROPERTIES_SEED=… pytest
tests/properties`. Longer: `PROPERTIES_EXAMPLES=2000 PROPERTIES_STEPS=60`.
"""

from __future__ import annotations

import logging
import os
import random

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.properties.engine_machine import EngineMachine

EXAMPLES = int(os.environ.get("PROPERTIES_EXAMPLES", "60"))
SHRINKS = os.environ.get("PROPERTIES_SHRINK", "1") == "1"  # to the shortest way to a failure: may take minutes
STEPS = int(os.environ.get("PROPERTIES_STEPS", "30"))


@pytest.mark.django_db(transaction=True)
def test_no_interleaving_breaks_what_must_hold(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)  # thousands of warnings are what it is about
    chosen = int(os.environ.get("PROPERTIES_SEED") or random.SystemRandom().randrange(2**32))
    print(f"PROPERTIES_SEED={chosen} PROPERTIES_EXAMPLES={EXAMPLES} PROPERTIES_STEPS={STEPS}")
    bounds = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        print_blob=True,
        phases=(Phase.generate, Phase.shrink) if SHRINKS else (Phase.generate,),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(chosen)(EngineMachine), settings=bounds)
