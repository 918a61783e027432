"""What snapshots, backups and shelving promise beyond what holds for every operation."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from cloud.images import store
from cloud.images.models import Image, ImageStatus
from cloud.networks.models import Port
from cloud.workflow.models import Action
from cloud.workflow.states import ActionState
from hypervisor import side_files
from instances import offloading, services
from instances.models import Instance
from instances.orphaned_images import drop_orphaned_images
from instances.services.shelve import UnshelvePlace
from instances.states import PowerState, VmState
from scheduling.models import Allocation, ComputeNode
from tests.operations.cloud_in_a_box import CloudInABox
from tests.operations.scenarios import World

pytestmark = pytest.mark.django_db(transaction=True)

snapshot = partial(services.snapshot_instance, name="image")


@pytest.fixture
def world(box: CloudInABox, settings: Any, tmp_path: Path) -> World:
    settings.IMAGES_DIR = tmp_path / "images"
    made = World(box)
    made.booted()
    return made


def carried_out(world: World, service: Any, state: ActionState = ActionState.SUCCEEDED) -> Action:
    action = world.begin(service)
    world.box.recover()
    action.refresh_from_db()
    assert action.state == state, (action.state, action.fault)
    return action


def made_of(world: World) -> list[Image]:
    """Images made of the instance and not deleted, oldest first."""
    rows = Image.objects.exclude(status=ImageStatus.DELETED).filter(properties__instance_uuid=str(world.instance_id))
    return list(rows.order_by("created_at"))


def files(world: World) -> list[str]:
    """The instance's files on its host."""
    directory = world.box.configs[world.instance().host].instances_dir / str(world.instance_id)
    return sorted(path.name for path in directory.iterdir())


# --- snapshots and backups --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("road", [VmState.ACTIVE, VmState.STOPPED])
def test_a_snapshot_is_active_when_the_instance_is_idle_and_leaves_no_copy(world: World, road: VmState) -> None:
    world.bring_to(road)
    before = files(world)
    world.begin(snapshot)
    while world.instance().task_state is not None:
        assert [image.status for image in made_of(world)] != [ImageStatus.ACTIVE]
        assert world.box.step() is not None
    (image,) = made_of(world)
    assert (image.status, image.virtual_size, image.name) == (ImageStatus.ACTIVE, 1024**3, "image")
    assert len(image.os_hash_value) == 128
    assert files(world) == before
    assert world.instance().vm_state == road


def test_an_image_that_its_user_deletes_meanwhile_ends_the_snapshot_with_a_fault(world: World) -> None:
    action = world.begin(snapshot)
    world.box.step()
    (image,) = made_of(world)
    Image.objects.filter(pk=image.pk).update(status=ImageStatus.DELETED)
    world.box.recover()
    world.assert_undone(action, ActionState.FAILED)
    assert str(image.pk) in world.fault_message()


def test_a_delete_in_the_middle_of_a_snapshot_leaves_no_image_and_one_after_it_keeps_it(world: World) -> None:
    for moment in range(20):
        world.begin(snapshot)
        is_over = [world.box.step() is None for _ in range(moment)][-1:] == [True]
        is_made = world.instance().task_state is None
        world.delete()
        world.box.recover()
        assert [image.status for image in made_of(world)] == ([ImageStatus.ACTIVE] if is_made else [])
        if is_over:
            return
        world.booted()
    pytest.fail("the snapshot never ended by itself")


def test_what_an_action_was_making_goes_when_an_operator_ends_it_and_what_users_queue_stays(world: World) -> None:
    action = world.begin(snapshot)
    world.box.step()
    own = Image.objects.create(name="own", properties={"instance_uuid": str(world.instance_id)})
    assert drop_orphaned_images() == 0
    Action.objects.filter(pk=action.pk).update(state=ActionState.FAILED)
    Instance.objects.update(task_state=None)
    assert drop_orphaned_images() == 1
    assert made_of(world) == [own]
    while world.box.step() is not None:  # its leg is still on the way, and is not fenced
        pass
    carried_out(world, snapshot)
    assert [name for name in files(world) if name.startswith("snapshot")] == []


def test_a_simulated_host_that_says_it_has_notes_alone_is_not_believed_when_it_is_none(world: World) -> None:
    ComputeNode.objects.update(hypervisor_type="QEMU")
    action = carried_out(world, snapshot, ActionState.FAILED)
    world.assert_undone(action, ActionState.FAILED)


def test_backups_are_rotated_by_type_once_the_new_one_is_there(world: World) -> None:
    def backup(name: str, rotation: int, backup_type: str = "daily") -> None:
        service = partial(services.backup_instance, name=name, backup_type=backup_type, rotation=rotation)
        carried_out(world, service)

    backup("w", 1, "weekly")
    for name in "1234":
        backup(name, 2)
    assert [image.name for image in made_of(world)] == ["w", "3", "4"]
    carried_out(world, snapshot)
    backup("5", 0)
    assert [image.name for image in made_of(world)] == ["w", "image"]


def test_a_backup_that_fails_rotates_nothing(world: World) -> None:
    service = partial(services.backup_instance, name="1", backup_type="daily", rotation=1)
    carried_out(world, service)
    world.box.executors[world.instance().host].driver.faults.plan(  # type: ignore[attr-defined]
        "snapshots.upload", error="UploadRefused", message="no room"
    )
    carried_out(world, partial(service, name="2"), ActionState.FAILED)
    assert [image.name for image in made_of(world)] == ["1"]
    assert "no room" in world.fault_message()


# --- shelving ---------------------------------------------------------------------------------------------------------


def test_a_shelved_instance_leaves_its_host_at_once_when_settings_say_so(world: World, settings: Any) -> None:
    settings.SHELVED_OFFLOAD_TIME = 0.0
    carried_out(world, services.shelve_instance)
    assert world.instance().vm_state == VmState.SHELVED_OFFLOADED
    world.assert_consistent()
    assert not Allocation.objects.filter(consumer=world.instance_id).exists()
    assert [port.binding_host for port in world.tenant.ports_of(world.instance_id)] == [""]
    offload = Action.objects.get(target_id=world.instance_id, operation="shelve_offload")
    assert offload.user_id == world.admin.user_id
    shelve = Action.objects.get(target_id=world.instance_id, operation="shelve")
    assert offload.request_id not in (shelve.request_id, "-"), "the action log finds one of the two alone"


@pytest.mark.parametrize(("seconds", "after", "leaves"), [(60, 59, False), (60, 61, True), (-1, 9999, False)])
def test_a_shelved_instance_leaves_its_host_after_its_time(
    world: World, settings: Any, seconds: float, after: float, leaves: bool
) -> None:
    world.bring_to(VmState.SHELVED)
    settings.SHELVED_OFFLOAD_TIME = seconds
    Instance.objects.update(shelved_at=timezone.now() - timedelta(seconds=after))
    assert offloading.offload_shelved() == (1 if leaves else 0)
    assert offloading.offload_shelved() == 0
    world.box.recover()
    assert world.instance().vm_state == (VmState.SHELVED_OFFLOADED if leaves else VmState.SHELVED)


def test_an_unshelve_that_came_first_is_not_disturbed_by_the_time(world: World, settings: Any) -> None:
    world.bring_to(VmState.SHELVED)
    settings.SHELVED_OFFLOAD_TIME = 0.0
    world.begin(services.unshelve_instance)
    assert offloading.offload_shelved() == 0
    world.box.recover()
    assert world.instance().vm_state == VmState.ACTIVE


def test_an_instance_comes_back_in_the_zone_asked_for_with_its_ports_and_on_its_shelved_disk(world: World) -> None:
    before = {(port.pk, port.mac) for port in world.tenant.ports_of(world.instance_id)}
    world.bring_to(VmState.SHELVED_OFFLOADED)
    (image,) = made_of(world)
    ComputeNode.objects.filter(host="h2").update(zone="east")
    place = UnshelvePlace(changes_zone=True, zone="east")
    carried_out(world, partial(services.unshelve_instance, place=place))
    instance = world.instance()
    assert (instance.vm_state, instance.power_state, instance.host) == (VmState.ACTIVE, PowerState.RUNNING, "h2")
    assert (instance.requested_zone, instance.availability_zone) == ("east", "east")
    assert (instance.image_id, instance.shelved_image_id) == (str(world.tenant.image.pk), "")
    assert instance.shelved_at is None
    assert {(port.pk, port.mac) for port in Port.objects.filter(binding_host="h2")} == before
    disk = side_files.read(world.box.configs["h2"].instances_dir / str(instance.pk) / "disk") or {}
    assert disk["backing"] == "", "its image is gone: a base in this host's cache alone would be lost with the host"
    assert disk["copied_from"].endswith(image.os_hash_value)
    assert made_of(world) == []
    world.assert_consistent()


def test_without_room_an_unshelve_leaves_the_instance_and_its_image_as_they_were(world: World) -> None:
    world.bring_to(VmState.SHELVED_OFFLOADED)
    ComputeNode.objects.update(is_schedulable=False)
    action = carried_out(world, services.unshelve_instance, ActionState.FAILED)
    world.assert_undone(action, ActionState.FAILED)
    assert "No valid host" in world.fault_message()
    assert [image.status for image in made_of(world)] == [ImageStatus.ACTIVE]


@pytest.mark.parametrize("shelved", [VmState.SHELVED, VmState.SHELVED_OFFLOADED])
def test_a_delete_takes_the_shelved_image_along(world: World, shelved: VmState) -> None:
    world.bring_to(shelved)
    assert len(made_of(world)) == 1
    deletion = world.delete()
    world.box.recover()
    world.assert_deleted(deletion)
    assert made_of(world) == []


def test_a_delete_in_the_middle_of_a_shelve_leaves_no_image(world: World) -> None:
    world.begin(services.shelve_instance)
    for _ in range(2):
        world.box.step()
    deletion = world.delete()
    world.box.recover()
    world.assert_deleted(deletion)
    assert made_of(world) == []


@pytest.mark.parametrize("road", [VmState.ACTIVE, VmState.STOPPED])
def test_a_shelve_that_fails_late_leaves_the_guest_as_it_was(world: World, road: VmState) -> None:
    world.bring_to(road)
    world.box.executors[world.instance().host].driver.faults.plan(  # type: ignore[attr-defined]
        "snapshots.upload", error="UploadRefused", message="no room"
    )
    action = carried_out(world, services.shelve_instance, ActionState.FAILED)
    world.assert_undone(action, ActionState.FAILED)
    assert made_of(world) == []


def test_a_paused_instance_whose_shelve_fails_runs_for_its_memory_is_gone(world: World) -> None:
    host = world.instance().host
    lifecycle = world.box.executors[host].driver.lifecycle
    lifecycle.set_power_state(str(world.instance_id), PowerState.PAUSED, "suspended")  # type: ignore[attr-defined]
    Instance.objects.update(vm_state=VmState.PAUSED, power_state=PowerState.PAUSED)
    world.box.executors[host].driver.faults.plan("snapshots.take", error="NoSpace")  # type: ignore[attr-defined]
    carried_out(world, services.shelve_instance, ActionState.FAILED)
    assert (world.instance().vm_state, world.instance().power_state) == (VmState.ACTIVE, PowerState.RUNNING)
    world.assert_consistent()


# --- with real bytes --------------------------------------------------------------------------------------------------


def test_bytes_really_travel_when_simulated_hosts_are_told_so(
    box: CloudInABox, live_server: Any, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.IMAGES_DIR = tmp_path / "images"
    settings.IMAGES_URL = live_server.url
    monkeypatch.setenv("SIMULATED_FETCH", "1")
    box.restart_workers()
    world = World(box)
    settings.IMAGES_DIR.mkdir()
    store.path_of(world.tenant.image.pk).write_bytes(b"not read by the simulated driver")
    world.booted()
    world.bring_to(VmState.SHELVED_OFFLOADED)
    (image,) = made_of(world)
    data = store.path_of(image.pk).read_bytes()
    assert hashlib.sha512(data).hexdigest() == image.os_hash_value
    assert image.size == len(data)
    carried_out(world, services.unshelve_instance)
    base = world.box.configs[world.instance().host].base_dir / image.os_hash_value
    assert base.read_bytes() == data
    assert not store.path_of(image.pk).exists()


@pytest.mark.parametrize("move", [services.migrate_instance, services.live_migrate_instance])
def test_an_unshelved_instance_moves_as_any_other(world: World, move: Any) -> None:
    world.bring_to(VmState.SHELVED_OFFLOADED)
    carried_out(world, services.unshelve_instance)
    left = world.instance().host
    carried_out(world, move)
    assert world.instance().host != left
    world.assert_consistent()
