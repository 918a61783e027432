"""Rule R8: what a host that is down has to do it owes; the action goes on, and the room there is kept until it paid."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone

from cloud.workflow import sweeps
from cloud.workflow.models import Action, ActionEvent, Host
from cloud.workflow.states import ActionState, EventState, Verb
from instances.states import VmState
from scheduling.models import Allocation
from tests.operations.cloud_in_a_box import CloudInABox
from tests.operations.scenarios import World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(box: CloudInABox) -> World:
    return World(box)


def owed(host: str) -> set[tuple[str, str]]:
    """What the host owes: (verb, step)."""
    rows = ActionEvent.objects.filter(host=host, state=EventState.OWED)
    return {(str(verb), name) for verb, name in rows.values_list("verb", "name")}


def allocations(world: World) -> set[str]:
    return set(Allocation.objects.filter(consumer=world.instance_id).values_list("host", flat=True))


def boot_whose_host_dies(world: World) -> str:
    """A boot that has made its disk and its ports on a host that loses its power now; gives the host."""
    world.boot()
    world.box.step()
    host = world.instance().host
    for _ in range(3):  # fetch_image, create_disk, plug_ports
        world.box.step()
    assert world.box.leftovers_on(host, world.instance_id)
    world.box.power_off(host)
    return host


def deleted_while_its_host_is_down(world: World) -> str:
    world.booted()
    host = world.instance().host
    world.box.power_off(host)
    deletion = world.delete()
    world.box.recover()
    deletion.refresh_from_db()
    assert deletion.state == ActionState.SUCCEEDED, deletion.fault
    return host


def test_a_delete_of_an_instance_whose_host_is_down_succeeds(world: World) -> None:
    host = deleted_while_its_host_is_down(world)
    assert world.instance().vm_state == VmState.DELETED
    assert owed(host) == {("do", "remove_guest")}
    assert allocations(world) == {host}
    world.assert_usage_equals_allocations()


def test_the_host_removes_it_when_it_is_back(world: World) -> None:
    host = deleted_while_its_host_is_down(world)
    assert world.box.leftovers_on(host, world.instance_id)
    world.box.power_on(host)
    world.assert_nothing_left(world.instance())
    assert owed(host) == set()
    networks = world.box.configs[host].state_dir / "simulated" / "networks"
    assert list(networks.rglob("*.json")) == []  # from the ports of then, whose rows are gone


def test_a_host_that_dies_under_a_delete_does_not_hold_it_up(world: World) -> None:
    world.booted()
    host = world.instance().host
    deletion = world.delete()
    world.box.step()
    world.box.power_off(host)
    world.box.recover()
    deletion.refresh_from_db()
    assert deletion.state == ActionState.SUCCEEDED
    world.box.power_on(host)
    world.assert_deleted(deletion)


def test_a_delete_over_several_hosts_cleans_those_that_are_up_at_once(world: World) -> None:
    world.booted()
    host = world.instance().host
    other = "h2" if host == "h1" else "h1"
    world.box.power_off(other)
    deletion = world.delete()
    deletion.parameters["hosts"] = [other, host]
    deletion.save()
    world.box.recover()
    deletion.refresh_from_db()
    assert deletion.state == ActionState.SUCCEEDED
    assert world.box.leftovers_on(host, world.instance_id) == []
    assert owed(other) == {("do", "remove_guest")}


def test_a_boot_whose_host_dies_goes_on_elsewhere_and_leaves_a_debt(world: World) -> None:
    host = boot_whose_host_dies(world)
    action = Action.objects.get(target_id=world.instance_id)
    world.box.recover()
    action.refresh_from_db()
    assert action.state == ActionState.SUCCEEDED, action.fault
    assert world.instance().host not in ("", host)
    assert ("undo", "create_disk") in owed(host)
    assert allocations(world) == {"h1", "h2"}
    world.box.power_on(host)
    world.assert_succeeded(action)
    assert owed(host) == set()


def test_an_unwinding_ends_though_no_host_is_up(world: World) -> None:
    host = boot_whose_host_dies(world)
    other = "h2" if host == "h1" else "h1"
    world.box.power_off(other)
    action = Action.objects.get(target_id=world.instance_id)
    world.box.recover()
    action.refresh_from_db()
    assert action.state == ActionState.FAILED
    assert allocations(world) == {host}
    world.box.power_on(host)
    world.assert_undone(action, ActionState.FAILED)


def test_debts_are_paid_in_reverse_and_before_any_work(world: World) -> None:
    host = boot_whose_host_dies(world)
    world.box.recover()
    world.box.off.discard(host)
    executor = world.box.start_worker(host)
    paid: list[tuple[int, int]] = []

    def note(point: str, order: dict[str, Any]) -> None:
        if point == "before_effect" and order["verb"] == "undo":
            paid.append((order["seq"], executor.journal.standing.current()))

    executor.fault_points = note
    world.box.beat(host)
    assert len(paid) > 1
    assert [seq for seq, _ in paid] == sorted((seq for seq, _ in paid), reverse=True)
    assert {current for _, current in paid} == {0}


def test_a_debt_that_cannot_be_paid_is_tried_again_and_keeps_its_room(world: World) -> None:
    host = deleted_while_its_host_is_down(world)
    world.box.off.discard(host)
    executor = world.box.start_worker(host)
    executor.driver.faults.plan("disks.delete", error="HypervisorFailed", count=2)  # type: ignore[attr-defined]
    agent = world.box.agents[host]
    agent.keep_in_touch()
    world.box.hear(host)
    agent.keep_in_touch()
    agent.keep_in_touch()
    assert executor.journal.standing.current()  # it takes work all the same
    event = ActionEvent.objects.get(host=host, name="remove_guest")
    assert (event.state, (event.error or {})["code"]) == (EventState.OWED, "hypervisor.failed")
    assert allocations(world) == {host}
    world.box.beat(host)
    world.assert_nothing_left(world.instance())


def test_a_payment_that_nobody_heard_of_is_told_again(world: World) -> None:
    host = deleted_while_its_host_is_down(world)
    world.box.off.discard(host)
    world.box.start_worker(host)
    agent = world.box.agents[host]
    agent.keep_in_touch()
    world.box.hear(host)
    say, agent.send = agent.send, lambda *_: None
    agent.keep_in_touch()
    agent.keep_in_touch()
    assert not agent.is_waiting
    assert owed(host) == {("do", "remove_guest")}
    agent.send = say
    world.box.beat(host)
    assert owed(host) == set()
    world.assert_nothing_left(world.instance())


def test_a_debt_does_not_undo_what_a_later_turn_made(world: World) -> None:
    host = deleted_while_its_host_is_down(world)
    world.box.executors[host].journal.of(str(world.instance_id)).raise_turn(90)
    Action.objects.update(state=ActionState.STUCK)  # or its guest is removed as one that is not the host's
    world.box.power_on(host)
    event = ActionEvent.objects.get(host=host, name="remove_guest")
    assert (event.state, (event.error or {})["code"]) == (EventState.FAILED, "host.behind")
    assert world.box.leftovers_on(host, world.instance_id)
    assert allocations(world) == set()


def test_a_debt_that_came_while_the_host_was_on_its_way_is_paid_too(world: World) -> None:
    world.booted()
    host = world.instance().host
    world.box.power_off(host)
    world.box.off.discard(host)
    world.box.start_worker(host)
    world.box.agents[host].keep_in_touch()  # its hello is answered: it owes nothing
    assert not Host.objects.get(name=host).is_up
    deletion = world.delete()
    world.box.run()
    assert owed(host) == {("do", "remove_guest")}
    world.box.beat(host)
    world.assert_deleted(deletion)


def test_an_action_that_is_owed_something_is_not_forgotten(world: World) -> None:
    host = deleted_while_its_host_is_down(world)
    Action.objects.update(finished_at=timezone.now() - timedelta(days=400))
    cache.clear()
    sweeps.forget_old_rows()
    world.box.power_on(host)
    world.assert_nothing_left(world.instance())


def test_an_undo_that_a_host_gave_up_on_is_stuck_and_no_debt(world: World) -> None:
    """A debt is for hosts that are down."""
    action = world.boot()
    world.box.step()
    host = world.instance().host
    faults = world.box.executors[host].driver.faults  # type: ignore[attr-defined]
    faults.plan("lifecycle.start", error="ImageRefused")
    faults.plan("disks.delete", error="HypervisorFailed")
    world.box.recover()
    action.refresh_from_db()
    assert action.state == ActionState.STUCK
    assert not ActionEvent.objects.filter(state=EventState.OWED).exists()
    assert ActionEvent.objects.filter(action=action, verb=Verb.UNDO, state=EventState.FAILED).exists()
