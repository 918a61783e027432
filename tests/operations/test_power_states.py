"""What a hypervisor says of a guest reaches the instance, unless an action is alive on it or came after (rule R11)."""

from __future__ import annotations

from typing import Any

import pytest

from cloud.workflow import hosts
from hypervisor.agent import Agent
from hypervisor.executor import Order, RunningStep
from hypervisor.spec import GuestState
from instances.states import PowerState, VmState
from tests.operations.cloud_in_a_box import CloudInABox
from tests.operations.scenarios import World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(box: CloudInABox) -> World:
    return World(box)


def agent_of(world: World, host: str, sent: list[dict[str, Any]]) -> Agent:
    return Agent(world.box.configs[host], world.box.executors[host], lambda _, message: sent.append(message))


def says(world: World, power_state: PowerState) -> dict[str, Any]:
    """The message in which the instance's host says that its guest is in `power_state` now."""
    sent: list[dict[str, Any]] = []
    instance = world.instance()
    state = GuestState(instance_id=str(instance.pk), power_state=power_state)
    agent_of(world, instance.host, sent).guest_changed(state, "stopped")
    (message,) = sent
    return message


def test_a_guest_that_powers_itself_off_is_stopped(world: World) -> None:
    world.booted()
    hosts.guest_changed(says(world, PowerState.SHUTDOWN))
    assert (world.instance().vm_state, world.instance().power_state) == (VmState.STOPPED, PowerState.SHUTDOWN)


def test_a_paused_guest_keeps_its_vm_state(world: World) -> None:
    world.booted()
    hosts.guest_changed(says(world, PowerState.PAUSED))
    assert (world.instance().vm_state, world.instance().power_state) == (VmState.ACTIVE, PowerState.PAUSED)


@pytest.mark.parametrize("change", [{"turn": 1}, {"generation": 9}, {"signature": "forged"}])
def test_what_is_old_or_forged_changes_nothing(world: World, change: dict[str, Any]) -> None:
    world.booted()
    hosts.guest_changed({**says(world, PowerState.SHUTDOWN), **change})
    assert (world.instance().vm_state, world.instance().power_state) == (VmState.ACTIVE, PowerState.RUNNING)


def test_while_an_action_is_alive_it_changes_nothing(world: World) -> None:
    world.booted()
    message = says(world, PowerState.SHUTDOWN)
    world.delete()
    hosts.guest_changed(message)
    assert world.instance().power_state == PowerState.RUNNING


def test_a_heartbeat_tells_it_too_when_the_event_was_lost(world: World) -> None:
    world.booted()
    instance = world.instance()
    lifecycle = world.box.executors[instance.host].driver.lifecycle
    lifecycle.set_power_state(str(instance.pk), PowerState.SHUTDOWN, "shutdown")  # type: ignore[attr-defined]
    world.box.beat(instance.host)
    assert (world.instance().vm_state, world.instance().power_state) == (VmState.STOPPED, PowerState.SHUTDOWN)


def test_what_a_step_at_work_does_itself_is_not_sent(world: World) -> None:
    world.booted()
    instance = world.instance()
    executor = world.box.executors[instance.host]
    order: Order = {"token": "t"}
    executor._running["t"] = RunningStep({"target": str(instance.pk)}, order)
    sent: list[dict[str, Any]] = []
    state = GuestState(instance_id=str(instance.pk), power_state=PowerState.RUNNING)
    agent_of(world, instance.host, sent).guest_changed(state, "started")
    assert sent == []
