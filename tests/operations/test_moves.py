"""What resize, cold migration, confirm and revert promise beyond what every operation does."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from cloud.images.models import Image
from cloud.workflow.models import Action, Host
from cloud.workflow.states import ActionState
from hypervisor.errors import NoSpace
from instances import services
from instances.models import Fault, Flavor, Instance, Migration, MigrationStatus
from instances.states import PowerState, VmState
from instances.sweeps import confirm_overdue_resizes
from instances.unfinished_moves import instances_that_may_be_on
from scheduling.models import Allocation, ComputeNode
from tests.operations.cloud_in_a_box import CloudInABox
from tests.operations.scenarios import World

pytestmark = pytest.mark.django_db(transaction=True)

SIZES = {"small": (1, 128, 1), "large": (2, 256, 3)}


@pytest.fixture
def world(box: CloudInABox) -> World:
    return World(box)


def larger(world: World) -> str:
    Flavor.objects.get_or_create(flavorid="large", name="large", memory_mib=256, vcpus=2, disk_gib=3)
    return "large"


def resize(world: World) -> Action:
    services.resize_instance(caller=world.admin, instance=world.instance(), flavor_id=larger(world))
    return finished(world)


def finished(world: World, state: str = ActionState.SUCCEEDED) -> Action:
    world.box.recover()
    action = Action.objects.filter(target_id=world.instance_id).latest("created_at")
    assert action.state == state, (action.operation, action.state, action.fault)
    return action


def confirm(world: World) -> Action:
    services.confirm_resize(caller=world.admin, instance=world.instance())
    return finished(world)


def revert(world: World) -> Action:
    services.revert_resize(caller=world.admin, instance=world.instance())
    return finished(world)


def held(world: World) -> dict[str, list[tuple[str, int]]]:
    """(host, vCPUs) of each allocation, by who holds it: the instance or its migration."""
    migrations = set(Migration.objects.values_list("uuid", flat=True))
    found: dict[str, list[tuple[str, int]]] = {}
    for row in Allocation.objects.order_by("host"):
        name = "migration" if row.consumer in migrations else "instance"
        assert name == "migration" or row.consumer == world.instance_id
        found.setdefault(name, []).append((row.host, row.vcpus))
    world.assert_usage_equals_allocations()
    return found


def note(world: World, host: str, name: str = "disk", aside: str = "") -> dict[str, Any]:
    directory = world.box.configs[host].instances_dir / f"{world.instance_id}{aside}"
    return json.loads((directory / name).read_text())


def write(world: World, host: str, text: str) -> None:
    """The guest writes on its disk."""
    path = world.box.configs[host].instances_dir / str(world.instance_id) / "disk"
    path.write_text(json.dumps({**json.loads(path.read_text()), "written": text}))


def status() -> str:
    return Migration.objects.latest("pk").status


def other(host: str) -> str:
    return "h2" if host == "h1" else "h1"


def stay(world: World) -> str:
    """Leaves the instance no other host than its own."""
    host = world.instance().host
    Host.objects.get(name=other(host)).service.__class__.objects.filter(host=other(host)).update(is_disabled=True)
    ComputeNode.objects.filter(host=other(host)).update(is_schedulable=False)
    return host


def share_storage(world: World) -> None:
    """Both hosts see one directory of instances."""
    shared, second = (world.box.configs[name].instances_dir for name in ("h1", "h2"))
    for left in second.iterdir():
        left.unlink()
    second.rmdir()
    second.symlink_to(shared, target_is_directory=True)
    for name in ("h1", "h2"):
        world.box.beat(name)
    assert ComputeNode.objects.values("storage_id").distinct().count() == 1


def boot_on(world: World, is_shared: bool) -> None:
    """An ACTIVE instance. On shared storage each host sees its files, so that the usual check of leftovers is none."""
    if is_shared:
        share_storage(world)
        world.boot()
        world.box.recover()
        assert world.instance().vm_state == VmState.ACTIVE
    else:
        world.booted()


# --- to another host --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_shared", [False, True], ids=["storages apart", "shared storage"])
def test_a_resize_to_another_host_brings_the_disk_along_and_confirm_leaves_nothing_behind(
    world: World, is_shared: bool
) -> None:
    boot_on(world, is_shared)
    source = world.instance().host
    write(world, source, "before")
    action = resize(world)
    there = world.instance()
    assert (there.host, there.vm_state, there.status) == (other(source), VmState.RESIZED, "VERIFY_RESIZE")
    assert (there.vcpus, there.memory_mib, there.disk_gib, there.flavor_id) == (2, 256, 3, "large")
    assert there.previous_vm_state == VmState.ACTIVE
    assert {port.binding_host for port in world.tenant.ports_of(there.pk)} == {there.host}
    assert note(world, there.host) | {"backing": ""} == note(world, source, aside=f".{action.pk}") | {
        "backing": "",
        "size_bytes": 3 * 1024**3,
    }
    assert held(world) == {"instance": [(there.host, 2)], "migration": [(source, 1)]}
    assert status() == MigrationStatus.FINISHED
    assert {host for host in ("h1", "h2") if there.pk in instances_that_may_be_on(host)} == {"h1", "h2"}
    confirm(world)
    assert (world.instance().vm_state, world.instance().previous_flavor) == (VmState.ACTIVE, None)
    assert held(world) == {"instance": [(there.host, 2)]}
    assert note(world, there.host)["written"] == "before"
    assert not list(world.box.configs["h1"].instances_dir.glob("*.*-*"))
    if not is_shared:
        assert world.box.leftovers_on(source, there.pk) == []
    assert status() == MigrationStatus.CONFIRMED
    assert there.pk not in instances_that_may_be_on(source)


@pytest.mark.parametrize("is_shared", [False, True], ids=["storages apart", "shared storage"])
def test_a_revert_gives_the_disk_back_as_it_was_and_leaves_nothing_at_the_destination(
    world: World, is_shared: bool
) -> None:
    boot_on(world, is_shared)
    source = world.instance().host
    write(world, source, "before")
    before = world.facts()
    resize(world)
    write(world, other(source), "after")
    revert(world)
    now = world.facts()
    for name in ("guests", "left", "allocations", "ports"):
        assert now[name] == before[name], name
    assert now["row"] | {"updated_at": 0} == before["row"] | {"updated_at": 0}
    assert note(world, source)["written"] == "before"
    assert note(world, source)["size_bytes"] == 1024**3
    assert status() == MigrationStatus.REVERTED
    world.assert_usage_equals_allocations()


def test_a_migration_keeps_the_size_and_never_stays(world: World) -> None:
    world.booted()
    source = world.instance().host
    services.migrate_instance(caller=world.admin, instance=world.instance())
    finished(world)
    assert (world.instance().host, world.instance().vcpus) == (other(source), 1)
    confirm(world)
    stay(world)
    services.migrate_instance(caller=world.admin, instance=world.instance())
    assert (finished(world, ActionState.FAILED).fault or {})["code"] == "scheduling.no_valid_host"
    fault = Fault.objects.latest("pk")
    assert "The instance is on it, and a migration is to another host." in fault.details
    assert f"{source}: compute" in fault.details
    assert (world.instance().vm_state, world.instance().host) == (VmState.ACTIVE, other(source))
    assert status() == MigrationStatus.ERROR
    world.assert_consistent()


def test_a_migration_to_a_named_host_goes_there(world: World) -> None:
    for name in ("h3", "h4"):
        world.box.add_host(name)
    world.booted()
    wanted = next(name for name in ("h4", "h3") if name != world.instance().host)
    services.migrate_instance(caller=world.admin, instance=world.instance(), host=wanted)
    finished(world)
    assert world.instance().host == wanted


# --- on the same host -------------------------------------------------------------------------------------------------


def test_a_resize_on_one_host_holds_both_sizes_until_it_is_confirmed(world: World) -> None:
    world.booted()
    host = stay(world)
    write(world, host, "before")
    resize(world)
    assert (world.instance().host, world.instance().vcpus) == (host, 2)
    assert held(world) == {"instance": [(host, 2)], "migration": [(host, 1)]}
    assert note(world, host)["written"] == "before"
    world.assert_consistent()
    confirm(world)
    assert held(world) == {"instance": [(host, 2)]}
    assert not list(world.box.configs[host].instances_dir.glob("*.*-*"))
    world.assert_consistent()


def test_a_revert_on_one_host_gives_the_old_size_back(world: World) -> None:
    world.booted()
    host = stay(world)
    write(world, host, "before")
    resize(world)
    write(world, host, "after")
    revert(world)
    assert (world.instance().host, world.instance().vcpus) == (host, 1)
    assert held(world) == {"instance": [(host, 1)]}
    assert note(world, host)["written"] == "before"
    world.assert_consistent()


def test_a_resize_may_be_kept_off_its_own_host(world: World, settings: Any) -> None:
    settings.ALLOW_RESIZE_TO_SAME_HOST = False
    world.booted()
    stay(world)
    before = world.facts()
    services.resize_instance(caller=world.admin, instance=world.instance(), flavor_id=larger(world))
    finished(world, ActionState.FAILED)
    assert "ALLOW_RESIZE_TO_SAME_HOST is off" in Fault.objects.latest("pk").details
    assert world.facts() == before


# --- at rest ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [confirm, revert])
def test_a_stopped_instance_moves_stopped_and_stays_so(world: World, ending: Any) -> None:
    world.booted()
    world.bring_to(VmState.STOPPED)
    resize(world)
    assert (world.instance().vm_state, world.instance().power_state) == (VmState.RESIZED, PowerState.SHUTDOWN)
    assert world.facts()["guests"] == {world.instance().host: PowerState.SHUTDOWN}
    ending(world)
    assert (world.instance().vm_state, world.instance().power_state) == (VmState.STOPPED, PowerState.SHUTDOWN)
    world.assert_consistent()


def test_a_stopped_instance_whose_move_fails_is_as_it_was(world: World) -> None:
    world.booted()
    world.bring_to(VmState.STOPPED)
    before = world.facts()
    for executor in world.box.executors.values():
        executor.driver.faults.plan("moves.bring_disk", error="DiskLost", message="gone", count=1)  # type: ignore[attr-defined]
    services.resize_instance(caller=world.admin, instance=world.instance(), flavor_id=larger(world))
    finished(world, ActionState.FAILED)
    assert world.facts() == before
    assert "gone" in world.fault_message()


def test_a_guest_that_went_off_while_it_waited_is_stopped_after_the_confirm(world: World) -> None:
    world.booted()
    resize(world)
    host = world.instance().host
    world.box.executors[host].driver.lifecycle.set_power_state(str(world.instance_id), 4, "stopped")  # type: ignore[attr-defined]
    world.box.beat(host)
    assert (world.instance().vm_state, world.instance().power_state) == (VmState.RESIZED, PowerState.SHUTDOWN)
    confirm(world)
    assert world.instance().vm_state == VmState.STOPPED


# --- the disk ---------------------------------------------------------------------------------------------------------


def test_the_base_comes_from_the_source_when_the_catalogue_has_it_no_more(world: World) -> None:
    world.booted()
    source = world.instance().host
    Image.objects.update(status="deleted")
    resize(world)
    backing = Path(note(world, other(source))["backing"])
    assert backing.is_relative_to(world.box.configs[other(source)].base_dir)
    assert backing.read_bytes() == (world.box.configs[source].base_dir / backing.name).read_bytes()


def test_a_host_without_room_is_left_for_another_and_keeps_nothing(world: World) -> None:
    world.box.add_host("h3")
    world.booted()
    full = []
    for name, executor in world.box.executors.items():
        if name != world.instance().host and not full:
            executor.driver.faults.plan("moves.bring_disk", error=NoSpace.__name__)  # type: ignore[attr-defined]
            full.append(name)
    services.migrate_instance(caller=world.admin, instance=world.instance())
    finished(world)
    assert world.instance().host not in full
    assert world.box.leftovers_on(full[0], world.instance_id) == []
    world.assert_consistent()


def test_bytes_that_change_on_their_way_are_noticed_and_the_guest_runs_where_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hypervisor.simulated import moves

    world.booted()
    before = world.facts()
    monkeypatch.setattr(moves, "_read", lambda path: Path(path).read_bytes().replace(b"qcow2", b"qcow3"))
    services.migrate_instance(caller=world.admin, instance=world.instance())
    finished(world, ActionState.FAILED)
    assert "came with another SHA-256" in Fault.objects.latest("pk").details
    assert world.facts() == before


def test_a_revert_without_its_kept_disk_fails_before_the_guest_is_touched(world: World) -> None:
    world.booted()
    source = world.instance().host
    action = resize(world)
    kept = world.box.configs[source].instances_dir / f"{world.instance_id}.{action.pk}" / "disk"
    kept.unlink()
    before = world.facts()
    services.revert_resize(caller=world.admin, instance=world.instance())
    finished(world, ActionState.FAILED)
    assert world.facts() == before
    assert "kept" in world.fault_message()
    assert status() == MigrationStatus.FINISHED


# --- delete, time, two at once ----------------------------------------------------------------------------------------


def test_a_delete_while_it_waits_cleans_both_hosts_and_all_that_was_held(world: World) -> None:
    world.booted()
    resize(world)
    deletion = world.delete()
    world.box.recover()
    world.assert_deleted(deletion)
    assert held(world) == {}
    assert status() == MigrationStatus.CONFIRMED


def test_a_delete_in_the_middle_cleans_both_hosts_and_all_that_was_held(world: World) -> None:
    for moment in range(1, 9):
        world.booted()
        services.resize_instance(caller=world.admin, instance=world.instance(), flavor_id=larger(world))
        for _ in range(moment):
            world.box.step()
        deletion = world.delete()
        world.box.recover()
        world.assert_deleted(deletion)
        assert held(world) == {}
        assert status() in (MigrationStatus.CANCELLED, MigrationStatus.CONFIRMED)


def test_what_waits_too_long_is_confirmed_by_itself(world: World, settings: Any) -> None:
    world.booted()
    resize(world)
    Instance.objects.update(is_locked=True, locked_by="owner")
    Migration.objects.update(updated_at=timezone.now() - timedelta(seconds=120))
    confirm_overdue_resizes()
    assert not world.box.live_actions(), "0 is never"
    settings.RESIZE_CONFIRM_WINDOW = 300
    confirm_overdue_resizes()
    assert not world.box.live_actions()
    settings.RESIZE_CONFIRM_WINDOW = 60
    for _ in range(2):
        confirm_overdue_resizes()
    action = finished(world)
    assert (action.operation, world.instance().vm_state) == ("confirm_resize", VmState.ACTIVE)
    assert action.user_id == world.admin.user_id


def test_moves_follow_one_another_and_only_the_last_waits(world: World) -> None:
    world.booted()
    for _ in range(2):
        services.migrate_instance(caller=world.admin, instance=world.instance())
        finished(world)
        confirm(world)
    services.migrate_instance(caller=world.admin, instance=world.instance())
    finished(world)
    revert(world)
    world.assert_consistent()
    assert sorted(Migration.objects.values_list("status", flat=True)) == ["confirmed", "confirmed", "reverted"]
    assert uuid.UUID(str(world.instance_id)) == world.instance().pk
