"""Rescue and unrescue beyond what holds for every operation: the two disks, and the password."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cloud.workflow.models import Action
from cloud.workflow.states import ActionState
from hypervisor import side_files
from instances import services
from instances.states import PowerState, VmState
from tests.operations.breaking import break_host_step, files_of
from tests.operations.cloud_in_a_box import CloudInABox, Message
from tests.operations.scenarios import World, rescue

pytestmark = pytest.mark.django_db(transaction=True)
OWN = ["disk", "disk.config", "made.json"]


@pytest.fixture
def world(box: CloudInABox) -> World:
    made = World(box)
    made.booted()
    return made


def run(world: World, service: Any) -> Action:
    action = world.begin(service)
    world.box.recover()
    action.refresh_from_db()
    return action


def disks(world: World) -> list[str]:
    """The disks of the guest, the one that it boots from first."""
    config = world.box.configs[world.instance().host]
    note = side_files.read(config.state_dir / "simulated" / "domains" / f"{world.instance_id}.json") or {}
    return list(note["disks"])


def places_with(world: World, text: str) -> list[str]:
    """Where a text is: rows of the log, and files of every host."""
    found = [str(action) for action in Action.objects.values() if text in str(action)]
    for config in world.box.configs.values():
        paths = [path for path in config.state_dir.rglob("*") if path.is_file()]
        found += [path.name for path in paths if text in path.read_text(errors="replace")]
    return found


def test_a_rescued_guest_boots_from_the_rescue_disk_and_an_unrescued_one_from_its_own(world: World) -> None:
    before = files_of(world)
    world.assert_succeeded(run(world, rescue))
    assert disks(world) == ["disk.rescue", "disk"]
    assert {name: files_of(world)[name] for name in OWN} == before
    assert world.instance().rescue_image_id == str(world.tenant.image.pk)
    world.assert_succeeded(run(world, services.unrescue_instance))
    assert disks(world) == ["disk"]
    assert files_of(world) == before
    assert world.instance().rescue_image_id == ""


def test_the_password_reaches_the_rescued_guest_and_stays_nowhere_else(world: World) -> None:
    run(world, rescue)
    assert places_with(world, "secret-1") == ["disk.rescue.config"]
    drive = json.loads(files_of(world)["disk.rescue.config"])
    assert drive["meta_data.json"]["admin_pass"] == "secret-1"
    run(world, services.unrescue_instance)
    assert places_with(world, "secret-1") == []


def test_the_password_of_a_rescue_that_fails_or_is_ended_by_a_delete_stays_nowhere(world: World) -> None:
    break_host_step(world, "create_rescue_disk", after=True)
    assert run(world, rescue).state == ActionState.FAILED
    assert places_with(world, "secret-1") == []
    action = world.begin(rescue)
    world.box.step()
    action.refresh_from_db()
    assert action.leg is not None, "the host is told by its leg"
    world.delete()
    assert places_with(world, "secret-1") == []
    world.box.recover()
    assert world.instance().vm_state == VmState.DELETED


def test_no_message_but_the_orders_of_the_rescue_carries_the_password(world: World) -> None:
    seen: list[str] = []

    def look(message: Message) -> bool:
        if "secret-1" in str(message):
            seen.append(message.task)
        return True

    world.begin(rescue)
    while world.box.step(on=look) is not None:
        pass
    assert seen
    assert all(task.startswith("hypervisor.") for task in seen)


@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "after its effect"])
@pytest.mark.parametrize("step", ["fetch_rescue_image", "stop_guest", "create_rescue_disk", "settle_guest"])
def test_a_rescue_that_fails_gives_every_file_back(world: World, step: str, after: bool) -> None:
    before = files_of(world)
    break_host_step(world, step, after=after)
    world.assert_undone(run(world, rescue), ActionState.FAILED)
    assert files_of(world) == before
    assert disks(world) == ["disk"]


@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "after its effect"])
@pytest.mark.parametrize("step", ["stop_guest", "settle_guest"])
def test_an_unrescue_that_fails_leaves_the_guest_rescued(world: World, step: str, after: bool) -> None:
    run(world, rescue)
    before = files_of(world)
    break_host_step(world, step, after=after)
    world.assert_undone(run(world, services.unrescue_instance), ActionState.FAILED)
    assert files_of(world) == before
    assert disks(world) == ["disk.rescue", "disk"]


def test_a_stopped_instance_is_rescued_running_and_unrescued_active(world: World) -> None:
    world.bring_to(VmState.STOPPED)
    world.assert_succeeded(run(world, rescue))
    assert world.instance().power_state == PowerState.RUNNING
    world.assert_succeeded(run(world, services.unrescue_instance))


def test_a_stopped_instance_whose_rescue_fails_is_off(world: World) -> None:
    world.bring_to(VmState.STOPPED)
    break_host_step(world, "settle_guest", after=True)
    world.assert_undone(run(world, rescue), ActionState.FAILED)
    assert disks(world) == ["disk"]


def test_a_rescued_instance_that_is_stopped_starts_from_its_own_disk(world: World) -> None:
    run(world, rescue)
    world.assert_succeeded(run(world, services.stop_instance))
    world.assert_succeeded(run(world, services.start_instance))
    assert disks(world) == ["disk"]
    world.assert_succeeded(run(world, rescue))
    world.assert_succeeded(run(world, services.unrescue_instance))
    assert sorted(files_of(world)) == OWN


def test_a_stop_that_fails_leaves_a_rescued_guest_rescued(world: World) -> None:
    run(world, rescue)
    break_host_step(world, "stop_guest", after=True)
    world.assert_undone(run(world, services.stop_instance), ActionState.FAILED)
    assert disks(world) == ["disk.rescue", "disk"]


def test_a_delete_of_a_rescued_instance_leaves_nothing(world: World) -> None:
    run(world, rescue)
    deletion = world.delete()
    world.box.recover()
    world.assert_deleted(deletion)
