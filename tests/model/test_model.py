"""The model holds in every world of small scenarios and along random walks; and it can fail: each rule is switched off
once, and what that breaks is found. A failure prints the way to it.
"""

from __future__ import annotations

import os
import random
from dataclasses import fields

import pytest

from tests.model.network import Network
from tests.model.rules import Rules
from tests.model.scenarios import MUTATIONS, SHORT, WALKS, Mutation, Scenario, begun
from tests.model.search import walk

WALK_STEPS = int(os.environ.get("MODEL_WALK_STEPS", "15000"))


@pytest.mark.parametrize("scenario", SHORT, ids=lambda scenario: scenario.name)
def test_nothing_breaks_in_any_world_and_every_world_can_end(scenario: Scenario) -> None:
    found = scenario.search().run()
    assert not found.violation, found
    assert found.is_complete
    assert found.ends


@pytest.mark.parametrize("scenario", WALKS, ids=lambda scenario: scenario.operation)
def test_nothing_breaks_on_random_walks_with_every_fault_at_once(scenario: Scenario) -> None:
    seed = int(os.environ.get("MODEL_SEED") or random.SystemRandom().randrange(2**32))
    print(f"MODEL_SEED={seed} MODEL_WALK_STEPS={WALK_STEPS}")
    found = walk(Network(), begun(scenario.operation, **scenario.budget), steps=WALK_STEPS, seed=seed)
    assert not found.violation, found
    assert found.ends


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_without_its_rule_something_breaks(mutation: Mutation) -> None:
    found = mutation.search(limit=200_000).run()
    assert found.violation, f"nothing breaks without {mutation.name}: {found}"


def test_every_rule_is_switched_off_once() -> None:
    switched = {name for mutation in MUTATIONS for name in mutation.switched}
    assert switched == {field.name for field in fields(Rules)}
