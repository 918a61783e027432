"""Guests that change behind the cloud's back, and hosts that are rebooted: what the cloud does about it by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cloud.workflow import hosts
from cloud.workflow.models import Action
from cloud.workflow.states import ActionState
from hypervisor.agent import Agent
from hypervisor.errors import NoSpace
from instances import services
from instances.models import HostBoot, Instance
from instances.states import PowerState, VmState
from tests.operations.cloud_in_a_box import CloudInABox
from tests.operations.scenarios import World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(box: CloudInABox) -> World:
    made = World(box)
    made.booted()
    made.box.beat(made.instance().host)
    return made


def states(world: World) -> tuple[str, int, str | None]:
    instance = world.instance()
    return instance.vm_state, instance.power_state, instance.task_state


def beat(world: World) -> None:
    """A heartbeat of the instance's host, and all that comes of it."""
    world.box.beat(world.instance().host)
    world.box.recover()


def own_actions(world: World) -> list[tuple[str, str]]:
    """(operation, state) of each action that nobody asked for."""
    rows = Action.objects.filter(target_id=world.instance_id, user_id="").order_by("created_at")
    return list(rows.values_list("operation", "state"))


def a_minute_passes(world: World) -> None:
    """Every action ended long ago."""
    for action in Action.objects.filter(target_id=world.instance_id):
        action.finished_at = action.finished_at and action.finished_at - timedelta(minutes=10)
        action.save(update_fields=["finished_at"])


def note(world: World) -> dict[str, Any]:
    """What the simulated driver keeps of the guest."""
    instance = world.instance()
    kept = world.box.executors[instance.host].driver.lifecycle.note(str(instance.pk))  # type: ignore[attr-defined]
    assert kept is not None
    return dict(kept)


def forget_guest(world: World) -> None:
    """Its definition is removed by hand."""
    instance = world.instance()
    world.box.executors[instance.host].driver.lifecycle.remove(str(instance.pk), None)


def tell(world: World, event: str) -> None:
    """The host's agent tells the change that was just made."""
    sent: list[dict[str, Any]] = []
    instance = world.instance()
    executor = world.box.executors[instance.host]
    state = executor.driver.lifecycle.state(str(instance.pk))
    assert state is not None
    Agent(world.box.configs[instance.host], executor, lambda _, message: sent.append(message)).guest_changed(
        state, event
    )
    hosts.guest_changed(sent[0])


# --- guests -----------------------------------------------------------------------------------------------------------


def test_a_guest_that_crashes_is_shown_at_once_and_is_stopped_at_the_next_heartbeat(world: World) -> None:
    world.guest_becomes(PowerState.CRASHED, "crashed")
    tell(world, "crashed")
    assert states(world) == (VmState.ACTIVE, PowerState.CRASHED, None)
    beat(world)
    assert states(world) == (VmState.STOPPED, PowerState.CRASHED, None)
    assert own_actions(world) == []
    world.begin(services.start_instance)
    world.box.recover()
    assert states(world) == (VmState.ACTIVE, PowerState.RUNNING, None)


def test_a_guest_that_its_hypervisor_paused_is_shown(world: World) -> None:
    world.guest_becomes(PowerState.PAUSED, "suspended", "io_error")
    tell(world, "suspended")
    assert states(world) == (VmState.ACTIVE, PowerState.PAUSED, None)
    world.begin(services.hard_reboot_instance)
    world.box.recover()
    assert states(world) == (VmState.ACTIVE, PowerState.RUNNING, None)


def test_a_guest_started_by_hand_is_stopped(world: World) -> None:
    world.bring_to(VmState.STOPPED)
    world.guest_becomes(PowerState.RUNNING, "started")
    tell(world, "started")
    assert states(world) == (VmState.STOPPED, PowerState.RUNNING, "powering-off")
    world.box.recover()
    assert states(world) == (VmState.STOPPED, PowerState.SHUTDOWN, None)
    assert own_actions(world) == [("end_unexpected_guest", ActionState.SUCCEEDED)]
    beat(world)
    assert len(own_actions(world)) == 1


def test_a_suspended_guest_started_by_hand_has_used_its_memory_up(world: World) -> None:
    world.bring_to(VmState.SUSPENDED)
    instance = world.instance()
    world.box.executors[instance.host].driver.power.resume(str(instance.pk), lambda *_: None)  # type: ignore[arg-type]
    beat(world)
    assert states(world) == (VmState.STOPPED, PowerState.SHUTDOWN, None)


@pytest.mark.parametrize(("policy", "vm_state"), [("adopt", VmState.ACTIVE), ("ignore", VmState.STOPPED)])
def test_other_policies_touch_no_guest(world: World, settings: Any, policy: str, vm_state: VmState) -> None:
    settings.UNEXPECTED_GUEST_POLICY = policy
    world.bring_to(VmState.STOPPED)
    world.guest_becomes(PowerState.RUNNING, "started")
    beat(world)
    assert states(world) == (vm_state, PowerState.RUNNING, None)
    assert own_actions(world) == []


def test_a_guest_whose_domain_is_gone_is_noticed_and_a_start_heals_it(world: World) -> None:
    forget_guest(world)
    beat(world)
    assert states(world) == (VmState.ACTIVE, PowerState.RUNNING, None), "it may have been booted after the host looked"
    a_minute_passes(world)
    beat(world)
    assert states(world) == (VmState.STOPPED, PowerState.NOSTATE, None)
    world.begin(services.start_instance)
    world.box.recover()
    assert states(world) == (VmState.ACTIVE, PowerState.RUNNING, None)


def test_a_resume_without_its_memory_boots(world: World) -> None:
    world.bring_to(VmState.SUSPENDED)
    forget_guest(world)
    world.begin(services.resume_instance)
    world.box.recover()
    assert states(world) == (VmState.ACTIVE, PowerState.RUNNING, None)


def test_a_look_from_before_the_last_verb_changes_nothing(world: World) -> None:
    sent: list[dict[str, Any]] = []
    host = world.instance().host
    agent = Agent(world.box.configs[host], world.box.executors[host], lambda _, message: sent.append(message))
    agent.look()  # it runs
    world.begin(services.stop_instance)
    world.box.recover()
    sent.clear()
    agent.beat()
    hosts.heartbeat(sent[0])
    world.box.recover()
    assert states(world) == (VmState.STOPPED, PowerState.SHUTDOWN, None)
    assert own_actions(world) == []


def test_a_look_from_before_an_event_changes_nothing(world: World) -> None:
    sent: list[dict[str, Any]] = []
    host = world.instance().host
    agent = Agent(world.box.configs[host], world.box.executors[host], lambda _, message: sent.append(message))
    agent.look()  # it runs
    world.guest_becomes(PowerState.SHUTDOWN, "shutdown")
    tell(world, "shutdown")
    sent.clear()
    agent.beat()
    hosts.heartbeat(sent[0])
    assert states(world) == (VmState.STOPPED, PowerState.SHUTDOWN, None)
    assert own_actions(world) == []


# --- hosts ------------------------------------------------------------------------------------------------------------


def test_guests_come_back_with_their_host(world: World) -> None:
    world.lose_power()
    tell(world, "stopped")  # libvirt tells of it when it comes up, and nobody knows yet that the host was rebooted
    assert states(world) == (VmState.ACTIVE, PowerState.SHUTDOWN, None)
    world.box.beat(world.instance().host)
    assert states(world) == (VmState.ACTIVE, PowerState.SHUTDOWN, "powering-on")
    world.box.recover()
    assert states(world) == (VmState.ACTIVE, PowerState.RUNNING, None)
    assert own_actions(world) == [("power_on_again", ActionState.SUCCEEDED)]
    world.guest_becomes(PowerState.SHUTDOWN, "shutdown")
    beat(world)
    assert states(world) == (VmState.STOPPED, PowerState.SHUTDOWN, None)
    assert len(own_actions(world)) == 1


def test_a_restarted_worker_is_no_rebooted_host(world: World) -> None:
    world.guest_becomes(PowerState.SHUTDOWN, "stopped", "lost")
    world.box.start_worker(world.instance().host)
    beat(world)
    assert states(world) == (VmState.STOPPED, PowerState.SHUTDOWN, None)
    assert own_actions(world) == []


def test_a_host_that_is_seen_for_the_first_time_was_not_rebooted(world: World) -> None:
    HostBoot.objects.all().delete()
    world.guest_becomes(PowerState.SHUTDOWN, "stopped", "lost")
    beat(world)
    assert own_actions(world) == []
    assert HostBoot.objects.filter(host=world.instance().host).exists()


def test_a_guest_that_shut_itself_down_before_its_host_was_looked_at_stays_off(world: World) -> None:
    world.lose_power()
    world.guest_becomes(PowerState.SHUTDOWN, "shutdown")
    beat(world)
    assert states(world) == (VmState.STOPPED, PowerState.SHUTDOWN, None)


@pytest.mark.parametrize("vm_state", [VmState.STOPPED, VmState.SUSPENDED])
def test_what_was_off_by_the_users_wish_stays_so_with_its_memory(world: World, vm_state: VmState) -> None:
    world.bring_to(vm_state)
    world.lose_power()
    beat(world)
    assert states(world) == (vm_state, PowerState.SHUTDOWN, None)
    assert own_actions(world) == []
    if vm_state == VmState.SUSPENDED:
        assert note(world)["is_saved"]


def test_a_paused_guest_lost_its_memory_with_its_host(world: World) -> None:
    world.bring_to(VmState.PAUSED)
    world.lose_power()
    beat(world)
    assert states(world) == (VmState.STOPPED, PowerState.SHUTDOWN, None)


def test_without_the_setting_instances_are_stopped(world: World, settings: Any) -> None:
    settings.RESUME_GUESTS_ON_HOST_BOOT = False
    world.lose_power()
    beat(world)
    assert states(world) == (VmState.STOPPED, PowerState.SHUTDOWN, None)
    assert own_actions(world) == []


def test_an_action_that_is_alive_decides_and_a_lost_guest_comes_back_after_it(world: World) -> None:
    """A user's crash dump waits for the host while that is rebooted; the boot stays new until it is over."""
    world.begin(services.trigger_crash_dump)
    world.lose_power()
    host = world.instance().host
    world.box.beat(host)
    assert own_actions(world) == []
    world.box.recover()
    beat(world)
    assert states(world) == (VmState.ACTIVE, PowerState.RUNNING, None)
    assert own_actions(world) == [("power_on_again", ActionState.SUCCEEDED)]


def test_a_pause_that_its_host_lost_the_power_under_leaves_the_guest_running(world: World) -> None:
    world.begin(services.pause_instance)
    world.lose_power()
    world.box.beat(world.instance().host)
    host = world.instance().host
    now = world.box.executors[host].driver.inventory.read().boot_id
    assert HostBoot.objects.get(host=host).boot_id != now, "the boot is new until the pause is over"
    world.box.recover()
    assert states(world) == (VmState.ACTIVE, PowerState.RUNNING, None)
    beat(world)
    assert own_actions(world) == []


def test_a_host_that_goes_away_again_is_no_reason_to_stop_its_instances(world: World) -> None:
    world.lose_power()
    host = world.instance().host
    faults = world.box.executors[host].driver.faults  # type: ignore[attr-defined]
    faults.plan("power.resume", error="HypervisorUnreachable", message="libvirtd went away", count=3)
    beat(world)
    assert states(world) == (VmState.ACTIVE, PowerState.SHUTDOWN, None)
    assert own_actions(world) == [("power_on_again", ActionState.FAILED)]
    world.lose_power()
    beat(world)
    assert states(world) == (VmState.ACTIVE, PowerState.RUNNING, None)


def test_a_conductor_that_is_killed_while_it_brings_guests_back_is_made_up_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from instances import power_states

    def die(**_: Any) -> None:
        raise RuntimeError("killed")

    world.lose_power()
    begin = power_states.begin_own_action
    monkeypatch.setattr(power_states, "begin_own_action", die)
    with pytest.raises(RuntimeError):
        world.box.beat(world.instance().host)
    monkeypatch.setattr(power_states, "begin_own_action", begin)
    beat(world)
    assert states(world) == (VmState.ACTIVE, PowerState.RUNNING, None)


def test_a_guest_that_does_not_come_back_is_stopped_with_a_fault_and_not_tried_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.lose_power()
    faults = world.box.executors[world.instance().host].driver.faults  # type: ignore[attr-defined]
    faults.plan("lifecycle.start", error="NoSpace", message="the disk is full")
    beat(world)
    assert states(world) == (VmState.STOPPED, PowerState.SHUTDOWN, None)
    assert "the disk is full" in world.fault_message()
    beat(world)
    assert own_actions(world) == [("power_on_again", ActionState.FAILED)]
    assert NoSpace.code == "host.no_space"


# --- verbs ------------------------------------------------------------------------------------------------------------


def test_a_soft_reboot_begins_another_run(world: World) -> None:
    run = note(world)["run"]
    world.begin(services.reboot_instance)
    world.box.recover()
    assert note(world)["run"] != run
    assert note(world)["action"] == str(Action.objects.get(operation="boot").pk), "the domain was made anew"


def test_a_guest_that_does_not_go_off_is_rebooted_hard(world: World) -> None:
    instance = world.instance()
    lifecycle = world.box.executors[instance.host].driver.lifecycle
    lifecycle.set_power_state(str(instance.pk), 1, "resumed", is_deaf=True)  # type: ignore[attr-defined]
    run = note(world)["run"]
    action = world.begin(services.reboot_instance)
    world.box.recover()
    world.assert_succeeded(action)
    assert note(world)["run"] != run
    assert note(world)["action"] == str(action.pk)
    assert action.events.get(name="reboot_guest").output["is_forced"]


def test_a_stop_that_fails_before_its_guest_went_off_does_not_restart_it(world: World) -> None:
    run = note(world)["run"]
    world.box.executors[world.instance().host].driver.faults.plan(  # type: ignore[attr-defined]
        "lifecycle.stop", error="HypervisorFailed"
    )
    world.begin(services.stop_instance)
    world.box.recover()
    assert states(world) == (VmState.ACTIVE, PowerState.RUNNING, None)
    assert note(world)["run"] == run


@pytest.mark.parametrize("vm_state", [VmState.PAUSED, VmState.SUSPENDED])
def test_a_hard_reboot_of_a_halted_guest_starts_it_fresh(world: World, vm_state: VmState) -> None:
    world.bring_to(vm_state)
    action = world.begin(services.hard_reboot_instance)
    world.box.recover()
    world.assert_succeeded(action)
    assert not note(world).get("is_saved")


@pytest.mark.parametrize("vm_state", [VmState.PAUSED, VmState.SUSPENDED, VmState.STOPPED])
def test_a_delete_of_a_halted_guest_leaves_nothing(world: World, vm_state: VmState) -> None:
    world.bring_to(vm_state)
    action = world.delete()
    world.box.recover()
    world.assert_deleted(action)


def test_a_suspended_guest_keeps_its_run_of_memory_and_its_room(world: World) -> None:
    world.bring_to(VmState.SUSPENDED)
    world.assert_consistent()
    assert note(world)["is_saved"]
    action = world.begin(services.resume_instance)
    world.box.recover()
    world.assert_succeeded(action)
    assert not note(world)["is_saved"]


def test_one_crash_dump_request_is_one_interrupt(world: World) -> None:
    action = world.begin(services.trigger_crash_dump)
    world.box.recover()
    world.assert_succeeded(action)
    assert note(world)["interrupts"] == 1
    assert Instance.objects.get(pk=world.instance_id).power_state == PowerState.RUNNING
