"""What hosts say of guests, and what comes too late to say anything of now (rule R11)."""

from __future__ import annotations

from typing import Any

import pytest

from cloud.workflow import hosts
from hypervisor.agent import Agent
from instances import services
from instances.states import PowerState, VmState
from tests.operations.cloud_in_a_box import CloudInABox
from tests.operations.scenarios import World
from tests.operations.test_power_policies import beat, own_actions, states

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(box: CloudInABox) -> World:
    made = World(box)
    made.booted()
    made.box.beat(made.instance().host)
    return made


def test_what_was_told_in_the_middle_of_a_verb_and_comes_after_it_says_nothing_of_now(world: World) -> None:
    """Between its steps a hard reboot's guest is off, and its host says so; the broker held the message up."""
    world.begin(services.hard_reboot_instance)
    instance = world.instance()
    executor = world.box.executors[instance.host]
    lifecycle = executor.driver.lifecycle
    while (off := lifecycle.state(str(instance.pk))) is None or off.power_state != PowerState.SHUTDOWN:
        world.box.step()
    sent: list[dict[str, Any]] = []
    Agent(world.box.configs[instance.host], executor, lambda _, message: sent.append(message)).guest_changed(
        off, "stopped"
    )
    world.box.recover()
    hosts.guest_changed(sent[0])
    assert states(world) == (VmState.ACTIVE, PowerState.RUNNING, None)
    beat(world)
    assert own_actions(world) == []
    assert states(world) == (VmState.ACTIVE, PowerState.RUNNING, None)
