"""The doctor: each kind of damage, made by hand, is found, repaired and gone."""

from __future__ import annotations

import dataclasses
import os
import shutil
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from cloud.networks.models import Port, PortStatus
from cloud.workflow.models import Action, ActionEvent
from cloud.workflow.states import ActionState, EventState
from hypervisor import side_files
from hypervisor.holdings import EntryFound, NetworkFound
from instances import services
from instances.doctor.examination import examine
from instances.models import Instance
from instances.states import PowerState, VmState
from scheduling.models import Allocation, ComputeNode
from scheduling.services import recount_usage
from tests.operations.cloud_in_a_box import CloudInABox, Killed
from tests.operations.doctoring import (
    STRANGER,
    assert_repaired,
    codes,
    copy_directory,
    copy_domain,
    doctor,
    driver,
    other_host,
    plug_stranger,
    state_dir,
)
from tests.operations.scenarios import World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(box: CloudInABox) -> World:
    world = World(box)
    world.booted()
    return world


def test_a_domain_that_nobody_knows_is_ended(world: World) -> None:
    copy_domain(world, STRANGER)
    report = assert_repaired(world, "guest.orphan")
    assert report["findings"][0]["objects"]["instance"] == STRANGER
    assert driver(world).lifecycle.state(STRANGER) is None
    assert driver(world).lifecycle.state(str(world.instance_id)) is not None


def test_a_domain_of_a_deleted_instance_is_ended(world: World) -> None:
    gone = world.instance_id
    note, host = driver(world).lifecycle.note(str(gone)), world.instance().host
    world.start_over()
    side_files.write(state_dir(world, host) / "simulated" / "domains" / f"{gone}.json", note)
    assert_repaired(world, "guest.orphan")


def test_a_disk_that_nobody_knows_is_set_aside_whole(world: World) -> None:
    orphan = copy_directory(world, STRANGER)
    content = (orphan / "disk").read_bytes()
    report = assert_repaired(world, "disk.orphan")
    assert report["findings"][0]["objects"]["directory"] == STRANGER
    assert not orphan.exists()
    assert (orphan.parent / "set-aside" / STRANGER / "disk").read_bytes() == content
    assert (orphan.parent / str(world.instance_id) / "disk").exists()


def test_a_disk_of_a_deleted_instance_is_removed(world: World) -> None:
    place, spare = state_dir(world) / "instances" / str(world.instance_id), state_dir(world) / "spare"
    shutil.copytree(place, spare)
    world.start_over()
    os.rename(spare, place)
    assert_repaired(world, "disk.of_deleted")
    assert not place.exists()
    assert not (place.parent / "set-aside").exists()


def test_a_half_removed_directory_is_removed(world: World) -> None:
    doomed = copy_directory(world, STRANGER).rename(state_dir(world) / "instances" / f".removing-{STRANGER}")
    assert_repaired(world, "disk.half_removed")
    assert not doomed.exists()


def test_an_orphan_with_domain_disk_and_dhcp_entry_is_one_repair(world: World) -> None:
    copy_domain(world, STRANGER)
    copy_directory(world, STRANGER)
    plug_stranger(world)
    assert_repaired(world, "dhcp.stale", "disk.orphan", "guest.orphan")
    assert Action.objects.filter(operation="clear_remains").count() == 1


def test_a_dhcp_entry_without_a_port_is_taken_back(world: World) -> None:
    host = world.instance().host
    stray = EntryFound(network_id=str(world.tenant.network.pk), mac="52:54:00:00:00:98", ip="10.77.0.98")
    WithStray.put_on(world, host, stray)
    assert_repaired(world, "dhcp.stray")


class WithStray:
    """The holdings of a host whose DHCP has an entry that no port is plugged with, until it is told to forget it."""

    def __init__(self, holdings: Any, stray: EntryFound) -> None:
        self._holdings = holdings
        self._strays = [stray]

    @classmethod
    def put_on(cls, world: World, host: str, stray: EntryFound) -> None:
        driver(world, host).holdings = cls(driver(world, host).holdings, stray)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._holdings, name)

    def networks(self) -> tuple[NetworkFound, ...]:
        return tuple(dataclasses.replace(found, strays=tuple(self._strays)) for found in self._holdings.networks())

    def forget_entry(self, network_id: str, mac: str, ip: str) -> None:
        self._strays.remove(EntryFound(network_id=network_id, mac=mac, ip=ip))


def test_the_dhcp_entry_of_a_port_that_is_gone_is_taken_back(world: World) -> None:
    plug_stranger(world)
    assert_repaired(world, "dhcp.stale")
    assert len(driver(world).interfaces.plugged(str(world.instance_id))) == 1


@pytest.mark.parametrize(
    ("vm_state", "power_state"),
    [
        (VmState.ACTIVE, PowerState.RUNNING),
        (VmState.STOPPED, PowerState.SHUTDOWN),
        (VmState.PAUSED, PowerState.RUNNING),
        (VmState.RESCUED, PowerState.RUNNING),
        (VmState.SUSPENDED, PowerState.SHUTDOWN),
    ],
)
def test_a_missing_domain_is_made_anew_as_its_instance_is(
    world: World, vm_state: VmState, power_state: PowerState
) -> None:
    world.bring_to(vm_state)
    driver(world).lifecycle.remove(str(world.instance_id), None)
    assert_repaired(world, "guest.missing")
    assert driver(world).lifecycle.state(str(world.instance_id)).power_state == power_state
    # What was paused lost its memory with its domain: it runs.
    expected = VmState.ACTIVE if vm_state == VmState.PAUSED else vm_state
    assert (world.instance().vm_state, world.instance().power_state) == (expected, power_state)


def test_a_missing_domain_without_a_disk_is_left_to_a_person(world: World) -> None:
    driver(world).lifecycle.remove(str(world.instance_id), None)
    shutil.rmtree(state_dir(world) / "instances" / str(world.instance_id))
    status, report = doctor(world.box, "--fix")
    assert (status, codes(report)) == (1, ["disk.missing"])
    assert report["findings"][0]["left_because"] == "not safe to do without a person"


@pytest.mark.parametrize("moves", ["the row alone", "the row, its room and its ports"])
def test_a_row_that_names_a_wrong_host_follows_the_guest(world: World, moves: str) -> None:
    right, wrong_host = world.instance().host, other_host(world)
    Instance.objects.filter(pk=world.instance_id).update(host=wrong_host)
    if moves != "the row alone":
        Allocation.objects.filter(consumer=world.instance_id).update(host=wrong_host)
        Port.objects.filter(device_id=str(world.instance_id)).update(binding_host=wrong_host)
        recount_usage()
    assert_repaired(world, "guest.wrong_host")
    assert world.instance().host == right
    assert Port.objects.get(device_id=str(world.instance_id)).binding_host == right
    world.assert_consistent()


def test_a_row_that_became_stopped_on_a_wrong_host_is_active_again(world: World) -> None:
    """The wrong host's heartbeat said that the guest is not there."""
    changes = {"host": other_host(world), "vm_state": VmState.STOPPED, "power_state": PowerState.NOSTATE}
    Instance.objects.filter(pk=world.instance_id).update(**changes)
    assert_repaired(world, "guest.wrong_host")
    assert world.instance().vm_state == VmState.ACTIVE
    world.assert_consistent()


def test_a_second_domain_that_is_off_goes_and_the_guest_stays(world: World) -> None:
    copy_domain(world, str(world.instance_id), other_host(world), power_state=PowerState.SHUTDOWN)
    assert_repaired(world, "guest.left_behind")
    world.assert_consistent()


def test_a_guest_that_runs_twice_is_left_to_a_person(world: World) -> None:
    copy_domain(world, str(world.instance_id), other_host(world))
    status, report = doctor(world.box, "--fix")
    assert (status, codes(report)) == (1, ["guest.twice"])
    assert driver(world, other_host(world)).lifecycle.state(str(world.instance_id)) is not None


def test_a_disk_that_a_row_names_is_never_touched(world: World) -> None:
    copied = state_dir(world, other_host(world)) / "instances" / str(world.instance_id)
    shutil.copytree(state_dir(world) / "instances" / str(world.instance_id), copied)
    status, report = doctor(world.box, "--fix")
    assert (status, codes(report)) == (1, ["disk.left_behind"])
    assert (copied / "disk").exists()


def test_a_directory_on_shared_storage_is_one_directory(box: CloudInABox, tmp_path: Path) -> None:
    """Both hosts see it, and neither takes it for a leftover; of an orphan there is one finding."""
    shared = tmp_path / "shared"
    shared.mkdir()
    for name in ("h1", "h2"):
        shutil.rmtree(state_dir_of(box, name) / "instances", ignore_errors=True)
        (state_dir_of(box, name) / "instances").symlink_to(shared)
        box.start_worker(name)
        box.beat(name)
    world = World(box)
    world.booted()
    assert doctor(box)[1]["findings"] == []
    copy_directory(world, STRANGER)
    report = assert_repaired(world, "disk.orphan")
    assert report["findings"][0]["objects"]["host"] == "h1,h2"
    assert (shared / "set-aside" / STRANGER).is_dir()


def state_dir_of(box: CloudInABox, name: str) -> Path:
    return box.configs[name].state_dir


@pytest.mark.parametrize("owner", ["nobody", "a deleted instance"])
def test_room_that_is_held_for_nobody_is_free(world: World, owner: str) -> None:
    host, gone = world.instance().host, world.instance_id
    if owner == "a deleted instance":
        world.start_over()
        world.booted()
    consumer = uuid.UUID(STRANGER) if owner == "nobody" else gone
    size = {"vcpus": 2, "memory_mib": 256, "disk_gib": 3}
    Allocation.objects.create(consumer=consumer, host=host, action_id=uuid.uuid4(), **size)
    recount_usage()
    assert_repaired(world, "allocation.leaked")
    world.assert_consistent()


def test_room_that_an_instance_does_not_hold_is_held(world: World) -> None:
    Allocation.objects.filter(consumer=world.instance_id).delete()
    recount_usage()
    assert_repaired(world, "allocation.missing")
    world.assert_consistent()


def test_counters_that_are_not_the_sum_are_counted_anew(world: World) -> None:
    ComputeNode.objects.filter(host="h1").update(used_memory_mib=4711)
    report = assert_repaired(world, "usage.wrong")
    assert "used_memory_mib should be" in report["findings"][0]["danger"]
    world.assert_usage_equals_allocations()


def test_a_port_of_an_instance_that_is_gone_is_deleted_and_a_users_own_is_free(world: World) -> None:
    common = {"network": world.tenant.network, "project_id": world.tenant.project_id, "device_id": STRANGER}
    bound = {"binding_host": "h1", "bound_by": uuid.uuid4(), "status": PortStatus.ACTIVE}
    made = Port.objects.create(**common, **bound, mac="52:54:00:00:00:01", made_by=uuid.uuid4())
    half = Port.objects.create(**common, mac="52:54:00:00:00:03", made_by=uuid.uuid4())
    own = Port.objects.create(**common, **bound, mac="52:54:00:00:00:02")
    free = Port.objects.create(**common, mac="52:54:00:00:00:04")  # what a user writes there means nothing to us
    assert_repaired(world, "port.leaked", "port.leaked", "port.leaked")
    assert not Port.objects.filter(pk__in=[made.pk, half.pk]).exists()
    assert Port.objects.filter(pk=free.pk, device_id=STRANGER).exists()
    own.refresh_from_db()
    assert (own.device_id, own.binding_host, own.bound_by) == ("", "", None)


def test_a_port_bound_to_another_host_is_bound_to_its_instances(world: World) -> None:
    Port.objects.filter(device_id=str(world.instance_id)).update(binding_host=other_host(world), moving_to="h9")
    assert_repaired(world, "port.wrong_host")
    port = Port.objects.get(device_id=str(world.instance_id))
    assert (port.binding_host, port.moving_to) == (world.instance().host, "")


def test_a_task_state_without_an_action_ends(world: World) -> None:
    Instance.objects.filter(pk=world.instance_id).update(task_state="powering-off")
    assert_repaired(world, "instance.stuck")
    assert (world.instance().vm_state, world.instance().task_state) == (VmState.ACTIVE, None)


def test_an_instance_that_nobody_builds_any_more_is_in_error(world: World) -> None:
    boot = world.boot()
    world.box.drain()
    Action.objects.filter(pk=boot.pk).update(state=ActionState.FAILED, finished_at=timezone.now())
    assert_repaired(world, "instance.stuck")
    assert (world.instance().vm_state, world.instance().task_state) == (VmState.ERROR, None)
    assert "cut short" in world.fault_message()


def test_a_lease_of_an_action_that_ended_is_closed(world: World) -> None:
    event = ActionEvent.objects.filter(action__target_id=world.instance_id).exclude(host="").latest("pk")
    until = timezone.now() - timedelta(hours=1)
    ActionEvent.objects.filter(pk=event.pk).update(state=EventState.BEGUN, lease_until=until)
    assert_repaired(world, "lease.stale")
    event.refresh_from_db()
    assert (event.state, event.lease_until) == (EventState.FAILED, None)


def test_a_lease_that_nobody_looks_after_is(world: World) -> None:
    """Beat is down: an action waits for its host, and nobody sees that its message was lost."""
    action = world.begin(services.stop_instance)
    world.box.step()
    world.box.drain()
    ActionEvent.objects.filter(action=action, state=EventState.GIVEN).update(
        lease_until=timezone.now() - timedelta(hours=1)
    )
    status, report = doctor(world.box, "--fix")
    assert (status, codes(report)) == (0, ["lease.overdue"])
    world.box.recover()
    world.assert_succeeded(action)
    assert doctor(world.box)[1]["findings"] == []


def test_a_step_that_a_killed_worker_left_is_settled(world: World) -> None:
    """Its action was ended by hand, so nobody goes on with it."""
    action = world.begin(services.stop_instance)

    def die(point: str, order: dict[str, Any]) -> None:
        if point == "before_effect":
            raise Killed(point)

    world.box.executors[world.instance().host].fault_points = die
    with pytest.raises(Killed):
        world.box.run()
    world.box.restart_workers()
    services.reset_state(caller=world.admin, instance=world.instance(), vm_state=VmState.ACTIVE)
    world.box.drain()
    assert_repaired(world, "step.interrupted")
    action.refresh_from_db()
    assert action.state == ActionState.FAILED


@pytest.mark.parametrize("name", ["f" * 128, "left-by-somebody.img"])
def test_a_base_image_that_nobody_knows_is_removed(world: World, name: str) -> None:
    bases = state_dir(world) / "base"
    known = sorted(path.name for path in bases.iterdir())
    (bases / name).write_bytes(b"x" * 1000)
    report = assert_repaired(world, "base_image.unknown")
    assert report["findings"][0]["objects"] == {"host": world.instance().host, "base_image": name}
    assert sorted(path.name for path in bases.iterdir()) == known


def test_a_base_image_of_a_forgotten_image_stays_while_a_disk_stands_on_it(world: World) -> None:
    world.tenant.image.delete()
    assert doctor(world.box)[1]["findings"] == []
    world.start_over()
    assert_repaired(world, "base_image.unknown")


def test_while_actions_are_alive_a_fresh_base_image_may_be_about_to_be_used(world: World) -> None:
    base = state_dir(world) / "base" / ("e" * 128)
    base.write_bytes(b"x")
    world.begin(services.stop_instance)
    with world.box.answering():
        assert examine().findings == ()
    long_ago = timezone.now().timestamp() - 7200
    os.utime(base, (long_ago, long_ago))
    with world.box.answering():
        assert [finding.code.name for finding in examine().findings] == ["base_image.unknown"]
