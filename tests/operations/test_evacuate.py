"""Evacuation beyond what holds for every operation: whose the instance is, what becomes of its disk, what is free."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cloud.workflow.models import Action, ActionEvent, Host
from cloud.workflow.states import ActionState, EventState
from hypervisor.abandon import abandon
from instances import services
from instances.left_disks import clear_after_evacuations, disks_to_keep
from instances.models import Instance, Migration, MigrationStatus
from instances.states import PowerState, VmState
from scheduling.models import Allocation, ComputeNode
from tests.operations.breaking import break_host_step, files_of
from tests.operations.cloud_in_a_box import CloudInABox
from tests.operations.scenarios import World

pytestmark = pytest.mark.django_db(transaction=True)
STEPS = ("fetch_image_there", "provide_disk", "plug_there", "bring_up")


@pytest.fixture
def world(box: CloudInABox) -> World:
    """An instance on h1, which is down; h2 has storage of its own."""
    made = World(box)
    made.instance_id = made.tenant.boot().pk
    return made


@pytest.fixture
def shared(tmp_path: Path, box: CloudInABox) -> World:
    """The same with h3, which shares the storage of h1."""
    (tmp_path / "h3").mkdir()
    (tmp_path / "h3" / "instances").symlink_to(tmp_path / "h1" / "instances")
    box.add_host("h3")
    made = World(box)
    made.instance_id = made.tenant.boot().pk
    return made


def boot_on_h1(world: World) -> None:
    """The instance is ACTIVE on h1."""
    ComputeNode.objects.exclude(host="h1").update(is_schedulable=False)
    world.box.run()
    assert (world.instance().vm_state, world.instance().host) == (VmState.ACTIVE, "h1")
    ComputeNode.objects.update(is_schedulable=True)


def evacuate(world: World, **wanted: Any) -> Action:
    world.box.power_off("h1")

    def service(*, caller: Any, instance: Any) -> Action:
        return services.evacuate_instance(caller=caller, instance=instance, **wanted)

    return world.begin(service)


def run(world: World, **wanted: Any) -> Action:
    action = evacuate(world, **wanted)
    world.box.recover()
    action.refresh_from_db()
    return action


def migration(world: World) -> Migration:
    return Migration.objects.get(instance_id=world.instance_id)


def test_without_shared_storage_the_disk_is_made_anew_and_it_is_said(world: World) -> None:
    boot_on_h1(world)
    action = run(world)
    world.assert_succeeded(action)
    assert world.instance().host == "h2"
    assert sorted(files_of(world)) == ["disk", "disk.config", "made.json"]
    moved = migration(world)
    assert (moved.status, moved.source_host, moved.destination_host) == (MigrationStatus.COMPLETED, "h1", "h2")
    assert moved.details["is_storage_shared"] is False
    assert "made anew from image" in moved.details["disk"]
    said = ActionEvent.objects.get(action=action, name="claim_destination").output
    assert said["disk"] == moved.details["disk"]
    assert {port.binding_host for port in world.tenant.ports_of(world.instance_id)} == {"h2"}


def test_on_shared_storage_the_disk_is_kept_with_its_maker(shared: World) -> None:
    boot_on_h1(shared)
    before = files_of(shared)
    disk = shared.box.configs["h1"].instances_dir / str(shared.instance_id) / "disk"
    inode = disk.stat().st_ino
    assert run(shared, host="h3").state == ActionState.SUCCEEDED
    assert (shared.instance().host, shared.instance().vm_state) == ("h3", VmState.ACTIVE)
    assert files_of(shared) == before
    assert disk.stat().st_ino == inode
    assert migration(shared).details["is_storage_shared"] is True
    # the old host returns: it loses its guest and its DHCP entries, and the disk stays
    abandon(shared.box.executors["h1"].driver, str(shared.instance_id), keeps_disk=True)
    assert files_of(shared) == before
    assert shared.facts()["guests"] == {"h3": PowerState.RUNNING}
    left = shared.box.leftovers_on("h1", shared.instance_id)
    assert left == [f"instances/{shared.instance_id} on h1"], "what is shared is seen from h1 too"


def test_a_scheduled_evacuation_goes_where_the_disk_is_kept_if_it_can(shared: World) -> None:
    boot_on_h1(shared)
    ComputeNode.objects.filter(host="h2").update(memory_mib=10**6)  # the weights are for h2
    before = files_of(shared)
    assert run(shared).state == ActionState.SUCCEEDED
    assert shared.instance().host == "h3"
    assert files_of(shared) == before


def test_where_no_host_shares_the_storage_the_disk_is_made_anew(shared: World) -> None:
    boot_on_h1(shared)
    shared.box.power_off("h3")
    assert run(shared).state == ActionState.SUCCEEDED
    assert shared.instance().host == "h2"
    assert migration(shared).details["is_storage_shared"] is False


@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "after its effect"])
@pytest.mark.parametrize("step", STEPS)
def test_a_failure_never_touches_the_shared_disk(shared: World, step: str, after: bool) -> None:
    boot_on_h1(shared)
    before = files_of(shared)
    break_host_step(shared, step, after=after)
    action = run(shared, host="h3")
    shared.assert_undone(action, ActionState.FAILED)
    assert files_of(shared, "h1") == before
    assert migration(shared).status == MigrationStatus.FAILED
    assert shared.instance().host == "h1"


def test_from_the_claim_on_the_instance_is_its_new_hosts(world: World) -> None:
    boot_on_h1(world)
    evacuate(world)
    world.box.step()
    assert world.instance().host == "h2"
    held = set(Allocation.objects.values_list("consumer", "host"))
    assert held == {(world.instance_id, "h2"), (migration(world).uuid, "h1")}
    world.assert_usage_equals_allocations()
    world.box.recover()
    assert set(Allocation.objects.values_list("consumer", "host")) == {(world.instance_id, "h2")}
    world.assert_usage_equals_allocations()


def test_a_host_that_came_back_before_the_claim_keeps_its_instance(world: World) -> None:
    boot_on_h1(world)
    action = evacuate(world)
    Host.objects.filter(name="h1").update(is_up=True)
    world.box.recover()
    world.assert_undone(action, ActionState.FAILED)
    assert "h1 is back" in world.fault_message()


def test_a_delete_in_the_middle_frees_both_sides(world: World) -> None:
    boot_on_h1(world)
    evacuate(world)
    world.box.step()
    deletion = world.delete()
    world.box.recover()
    world.assert_deleted(deletion)
    assert not Allocation.objects.exists()
    assert migration(world).status == MigrationStatus.CANCELLED


@pytest.mark.parametrize("ends_stopped", [False, True])
@pytest.mark.parametrize("vm_state", [VmState.ACTIVE, VmState.STOPPED])
def test_a_stopped_instance_and_one_of_a_newer_version_end_stopped(
    world: World, vm_state: VmState, ends_stopped: bool
) -> None:
    boot_on_h1(world)
    world.bring_to(vm_state)
    assert run(world, ends_stopped=ends_stopped).state == ActionState.SUCCEEDED
    runs = vm_state == VmState.ACTIVE and not ends_stopped
    expected = (VmState.ACTIVE, PowerState.RUNNING) if runs else (VmState.STOPPED, PowerState.SHUTDOWN)
    assert (world.instance().vm_state, world.instance().power_state) == expected
    world.let_hosts_return()
    world.assert_consistent()


def test_what_the_request_says_of_the_storage_must_be_so(world: World) -> None:
    boot_on_h1(world)
    action = run(world, is_shared=True)
    world.assert_undone(action, ActionState.FAILED)
    assert "do not share" in world.fault_message()


def test_storage_that_nobody_spoke_of_is_not_guessed_at(world: World) -> None:
    boot_on_h1(world)
    ComputeNode.objects.filter(host="h1").update(storage_id="")
    action = run(world)
    world.assert_undone(action, ActionState.FAILED)
    assert "not known" in world.fault_message()


def test_with_no_host_left_it_says_why_and_stays(world: World) -> None:
    boot_on_h1(world)
    world.box.power_off("h2")
    action = run(world)
    world.assert_undone(action, ActionState.FAILED)
    assert "No valid host" in world.fault_message()


def test_the_password_of_an_older_version_reaches_the_new_disk_and_stays_nowhere_else(world: World) -> None:
    boot_on_h1(world)
    assert run(world, password="secret-1").state == ActionState.SUCCEEDED
    assert b"secret-1" in files_of(world)["disk.config"]
    assert "secret-1" not in str(list(Action.objects.values()))


# --- what the old host may remove when it returns ---------------------------------------------------------------------


def keeps(world: World, host: str = "h1") -> bool:
    """Whether the host has to keep the instance's directory."""
    return disks_to_keep(host, [str(world.instance_id)]) == {str(world.instance_id)}


def test_a_host_keeps_a_disk_that_may_still_be_needed(world: World) -> None:
    boot_on_h1(world)
    assert keeps(world), "it is the instance's own host"
    evacuate(world)
    world.box.step()
    assert world.instance().host == "h2"
    assert keeps(world), "the evacuation may still fail, and then this is the disk"
    world.box.recover()
    assert not keeps(world)
    assert keeps(world, "h2")
    ComputeNode.objects.filter(host="h1").update(storage_id="")
    assert keeps(world), "whether the storage is shared is not known"


def test_a_host_keeps_a_disk_on_shared_storage_until_the_instance_is_deleted(shared: World) -> None:
    boot_on_h1(shared)
    run(shared, host="h3")
    assert keeps(shared)
    shared.delete()
    assert keeps(shared), "the delete is not over"
    shared.box.recover()
    assert not keeps(shared)


def test_a_host_keeps_what_no_row_knows(world: World) -> None:
    unknown = "7c8e2c3e-1b0a-4a53-9a58-0000000000aa"
    assert disks_to_keep("h1", [unknown]) == {unknown}


def test_a_debt_of_an_earlier_verb_does_not_keep_the_disk_on_the_host_that_was_left(world: World) -> None:
    """The host kept all that it had of the instance for the debt, whose undo removes only what its own step made."""
    boot_on_h1(world)
    world.bring_to(VmState.STOPPED)
    start = world.begin(services.start_instance)
    world.box.step()
    world.box.power_off("h1")
    world.box.recover()
    start.refresh_from_db()
    assert start.state == ActionState.FAILED
    assert start.events.filter(state=EventState.OWED, verb="undo").exists()
    action = run(world)
    assert action.state == ActionState.SUCCEEDED
    world.let_hosts_return()
    assert world.box.leftovers_on("h1", world.instance_id) == []
    assert not ActionEvent.objects.filter(state=EventState.OWED).exists()


def test_a_host_that_returns_in_the_middle_is_rid_of_the_directory_once_the_instance_is_elsewhere(world: World) -> None:
    boot_on_h1(world)
    action = evacuate(world)
    while not action.events.filter(name="fetch_image_there").exists():
        world.box.step()
    world.box.power_on("h1")
    world.box.recover()
    action.refresh_from_db()
    assert (action.state, world.instance().host) == (ActionState.SUCCEEDED, "h2")
    assert world.box.leftovers_on("h1", world.instance_id), "it was kept, for the evacuation might have been undone"
    clear_after_evacuations()
    world.box.recover()
    assert world.box.leftovers_on("h1", world.instance_id) == []
    world.assert_consistent()
    actions = Action.objects.count()
    clear_after_evacuations()
    assert Action.objects.count() == actions, "once is enough"


def test_what_is_busy_is_cleared_later(world: World) -> None:
    boot_on_h1(world)
    action = evacuate(world)
    while not action.events.filter(name="fetch_image_there").exists():
        world.box.step()
    world.box.power_on("h1")
    world.box.recover()
    world.begin(services.stop_instance)
    clear_after_evacuations()
    assert migration(world).details["left_on"] == "h1"
    world.box.recover()
    clear_after_evacuations()
    world.box.recover()
    assert world.box.leftovers_on("h1", world.instance_id) == []


def test_a_directory_that_is_the_instances_own_again_is_not_cleared(world: World) -> None:
    boot_on_h1(world)
    action = evacuate(world)
    while not action.events.filter(name="fetch_image_there").exists():
        world.box.step()
    world.box.power_on("h1")
    world.box.recover()
    Instance.objects.filter(pk=world.instance_id).update(host="h1")  # as if it had moved back meanwhile
    clear_after_evacuations()
    assert "left_on" not in migration(world).details
    assert not world.box.live_actions()
    world.box.recover()
    assert world.box.leftovers_on("h1", world.instance_id)
