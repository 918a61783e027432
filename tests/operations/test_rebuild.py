"""Rebuild beyond what holds for every operation: what becomes of the disk and of the row."""

from __future__ import annotations

import json

import pytest

from cloud.workflow.models import Action
from cloud.workflow.states import ActionState
from instances import services
from instances.models import Instance
from instances.states import PowerState, VmState
from tests.operations.breaking import break_host_step, files_of
from tests.operations.cloud_in_a_box import CloudInABox
from tests.operations.scenarios import World, rebuild

pytestmark = pytest.mark.django_db(transaction=True)
STEPS = ("fetch_image", "stop_guest", "replace_disk", "replug_ports", "settle_guest")


@pytest.fixture
def world(box: CloudInABox) -> World:
    made = World(box)
    made.booted()
    made.tenant.another_image()
    return made


def run(world: World) -> Action:
    action = world.begin(rebuild)
    world.box.recover()
    action.refresh_from_db()
    return action


def disk_of(world: World) -> dict[str, object]:
    return json.loads(files_of(world)["disk"])  # type: ignore[no-any-return]


def test_the_disk_is_another_image_s_and_the_old_one_is_forgotten(world: World) -> None:
    before, ports = files_of(world), world.facts()["ports"]
    world.assert_succeeded(run(world))
    row = world.instance()
    assert (row.display_name, row.image_name, row.metadata) == ("rebuilt", "another image", {"a": "b"})
    assert sorted(files_of(world)) == sorted(before) == ["disk", "disk.config", "made.json"]
    assert str(disk_of(world)["backing"]).endswith(world.tenant.another_image().os_hash_value)
    drive = json.loads(files_of(world)["disk.config"])
    assert drive["meta_data.json"]["name"] == "rebuilt"
    assert drive["meta_data.json"]["admin_pass"] == "secret-1"
    assert world.facts()["ports"] == ports
    assert "secret-1" not in str(list(Action.objects.values()))


@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "after its effect"])
@pytest.mark.parametrize("step", STEPS)
def test_a_failure_at_any_step_gives_every_file_back(world: World, step: str, after: bool) -> None:
    before = files_of(world)
    break_host_step(world, step, after=after)
    world.assert_undone(run(world), ActionState.FAILED)
    assert files_of(world) == before
    domain = world.box.executors[world.instance().host].driver.lifecycle.state(str(world.instance_id))
    assert domain is not None
    assert domain.power_state == PowerState.RUNNING


def test_a_stopped_instance_stays_stopped_with_its_new_disk(world: World) -> None:
    world.bring_to(VmState.STOPPED)
    action = run(world)
    assert action.state == ActionState.SUCCEEDED
    row = world.instance()
    assert (row.vm_state, row.power_state, row.display_name) == (VmState.STOPPED, PowerState.SHUTDOWN, "rebuilt")
    assert str(disk_of(world)["backing"]).endswith(world.tenant.another_image().os_hash_value)
    world.assert_consistent()
    world.begin(services.start_instance)
    world.box.recover()
    assert world.instance().vm_state == VmState.ACTIVE


def test_a_stopped_instance_whose_rebuild_fails_is_off_on_its_old_disk(world: World) -> None:
    world.bring_to(VmState.STOPPED)
    before = files_of(world)
    break_host_step(world, "settle_guest", after=True)
    world.assert_undone(run(world), ActionState.FAILED)
    assert files_of(world) == before
    assert world.facts()["guests"] == {world.instance().host: PowerState.SHUTDOWN}


@pytest.mark.parametrize("power_state", [PowerState.RUNNING, PowerState.SHUTDOWN])
def test_an_instance_in_error_becomes_active_or_is_what_it_was(world: World, power_state: PowerState) -> None:
    if power_state == PowerState.SHUTDOWN:
        world.bring_to(VmState.STOPPED)
    Instance.objects.update(vm_state=VmState.ERROR)
    steps = {name: dict(executor.steps) for name, executor in world.box.executors.items()}
    break_host_step(world, "settle_guest", after=True)
    world.assert_undone(run(world), ActionState.FAILED)
    for name, executor in world.box.executors.items():
        executor.steps = steps[name]
    assert run(world).state == ActionState.SUCCEEDED
    row = world.instance()
    assert (row.vm_state, row.power_state) == (VmState.ACTIVE, PowerState.RUNNING)


def test_what_a_user_changes_meanwhile_is_kept(world: World) -> None:
    action = world.begin(rebuild)
    world.box.step()
    services.update_instance(caller=world.admin, instance=world.instance(), description="mine")
    world.box.recover()
    world.assert_succeeded(action)
    row = world.instance()
    assert (row.description, row.display_name) == ("mine", "rebuilt")


def test_a_rebuild_over_a_lost_domain_heals_it(world: World) -> None:
    lifecycle = world.box.executors[world.instance().host].driver.lifecycle
    lifecycle.remove(str(world.instance_id), None)
    world.assert_succeeded(run(world))
