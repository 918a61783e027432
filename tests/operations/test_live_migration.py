"""Live migration, between two simulated hosts: what it promises, wherever it is interrupted."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from cloud.errors import Abort
from cloud.workflow.models import Action, ActionEvent, Host
from cloud.workflow.operation import operation
from cloud.workflow.runner import cancel
from cloud.workflow.states import ActionState, Verb
from instances import services
from instances.models import Fault, Instance, Migration, MigrationStatus
from instances.states import PowerState, VmState
from scheduling.models import Allocation
from tests.operations.cloud_in_a_box import CloudInABox, Killed, Message
from tests.operations.scenarios import World
from tests.running_cloud import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(box: CloudInABox) -> World:
    """An instance that runs."""
    world = World(box)
    world.booted()
    return world


def migrate(world: World) -> Action:
    return world.begin(services.live_migrate_instance)


def other(host: str) -> str:
    return {"h1": "h2", "h2": "h1"}[host]


def until(world: World, step: str) -> Message:
    """Delivers until the message with that step would be next; takes it from its queue."""
    found: list[Message] = []

    def stop(message: Message) -> bool:
        if message.task == f"hypervisor.{step}":
            found.append(message)
        return not found

    while not found:
        assert world.box.step(on=stop) is not None, f"{step} was never reached"
    return found[0]


def guests(world: World) -> dict[str, int]:
    found: dict[str, int] = world.facts()["guests"]
    return found


def test_the_instance_its_ports_and_its_room_are_the_other_hosts_afterwards(world: World) -> None:
    source = world.instance().host
    action = migrate(world)
    world.box.recover()
    world.assert_succeeded(action)
    instance, row = world.instance(), Migration.objects.get()
    assert instance.host == other(source)
    assert {port.binding_host for port in world.tenant.ports_of(instance.pk)} == {other(source)}
    assert (row.status, row.source_host, row.destination_host) == ("completed", source, other(source))
    assert row.details["memory_bytes"] == instance.memory_mib * 1024**2
    assert not Allocation.objects.filter(consumer=row.uuid).exists()


def test_while_it_goes_both_hosts_hold_its_room(world: World) -> None:
    source = world.instance().host
    migrate(world)
    until(world, "migrate_guest")
    row = Migration.objects.get()
    assert row.status == MigrationStatus.RUNNING
    held = dict(Allocation.objects.values_list("consumer", "host"))
    assert held == {row.uuid: source, row.instance_id: other(source)}
    world.assert_usage_equals_allocations()


def test_back_and_forth_it_leaves_nothing_behind(world: World) -> None:
    for _ in range(3):
        source = world.instance().host
        action = migrate(world)
        world.box.recover()
        world.assert_succeeded(action)
        assert world.box.leftovers_on(source, world.instance_id) == []


def test_a_paused_guest_stays_paused(world: World) -> None:
    host = world.instance().host
    world.box.executors[host].driver.lifecycle.set_power_state(str(world.instance_id), 3, "suspended")  # type: ignore[attr-defined]
    Instance.objects.update(vm_state=VmState.PAUSED, power_state=PowerState.PAUSED)
    action = migrate(world)
    world.box.recover()
    world.assert_succeeded(action)
    assert guests(world) == {other(host): PowerState.PAUSED}


# --- shared storage ---------------------------------------------------------------------------------------------------


@pytest.fixture
def shared_world(tmp_path: Any, transactional_db: Any) -> Any:
    """Two hosts with one directory of instances, and an instance that runs."""
    box = CloudInABox(tmp_path)
    box.drain()
    (tmp_path / "h2").mkdir()
    (tmp_path / "h1" / "instances").mkdir(parents=True)
    (tmp_path / "h2" / "instances").symlink_to(tmp_path / "h1" / "instances")
    for name in ("h1", "h2"):
        box.add_host(name)
    world = World(box)
    world.boot()
    box.recover()
    assert world.instance().vm_state == VmState.ACTIVE
    yield world
    box.drain()
    for executor in box.executors.values():
        executor.driver.close()


def files(world: World) -> dict[str, bytes]:
    directory = world.box.configs["h1"].instances_dir / str(world.instance_id)
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_on_shared_storage_no_file_is_made_or_touched(shared_world: World) -> None:
    before, source = files(shared_world), shared_world.instance().host
    action = migrate(shared_world)
    shared_world.box.recover()
    action.refresh_from_db()
    assert (action.state, shared_world.instance().host) == (ActionState.SUCCEEDED, other(source))
    assert files(shared_world) == before


@pytest.mark.parametrize("step", ["check_destination", "prepare_disk", "plug_at_destination", "expect_guest"])
def test_on_shared_storage_an_undo_leaves_the_disk(
    shared_world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    from tests.operations.test_every_operation import break_step

    before = files(shared_world)
    action = migrate(shared_world)
    break_step(shared_world, monkeypatch, operation("live_migration"), step, Abort("broken"), after=True)
    shared_world.box.recover()
    shared_world.assert_undone(action, ActionState.FAILED)
    assert files(shared_world) == before
    assert Migration.objects.get().status == MigrationStatus.FAILED


# --- abort and force-complete -----------------------------------------------------------------------------------------


def steer_in_the_middle(world: World, service: Any) -> Action:
    """Runs the migration, with `service` called when the guest is about to go, and its message delivered at once, as by
    the host's control process. Gives the migration's action."""
    action = migrate(world)
    source = world.instance().host
    threads: list[threading.Thread] = []

    def steer(point: str, order: dict[str, Any]) -> None:
        if point != "before_effect" or order["name"] != "migrate_guest" or order["verb"] != "do" or threads:
            return
        service(caller=world.admin, migration=Migration.objects.get())
        begin = world.box.take("conductor")
        assert begin is not None
        world.box.deliver(begin)  # the conductor gives the source its leg
        message = world.box.take(f"compute.{source}.ctl") or world.box.take(f"compute.{source}")
        assert message is not None
        threads.append(threading.Thread(target=world.box.deliver, args=(message,)))
        threads[0].start()
        wishes = world.box.configs[source].state_dir / "wishes" / f"{action.pk}.json"
        wait_for("the wish", wishes.exists, 10)

    world.box.executors[source].fault_points = steer
    world.box.run()
    threads[0].join(10)
    world.box.recover()
    return action


def test_an_abort_in_the_middle_leaves_the_guest_at_the_source(world: World) -> None:
    before = world.facts()
    action = steer_in_the_middle(world, services.abort_live_migration)
    action.refresh_from_db()
    assert action.state in (ActionState.CANCELLED, ActionState.FAILED)
    assert world.facts() == before
    assert Migration.objects.get().status == MigrationStatus.CANCELLED
    assert not Fault.objects.exists(), "what was asked for is no fault"
    abort = Action.objects.get(operation="live_migration_abort")
    assert abort.state == ActionState.SUCCEEDED
    assert ActionEvent.objects.get(action=abort).output == {"heard": True}


def test_a_forced_migration_completes(world: World) -> None:
    source = world.instance().host
    action = steer_in_the_middle(world, services.force_live_migration)
    world.assert_succeeded(action)
    assert world.instance().host == other(source)
    forced = Action.objects.get(operation="live_migration_force_complete")
    assert (forced.state, ActionEvent.objects.get(action=forced).output) == (ActionState.SUCCEEDED, {"heard": True})


def test_an_abort_before_the_guest_goes_undoes_what_was_prepared(world: World) -> None:
    action = migrate(world)
    until_prepared = until(world, "check_destination")
    services.abort_live_migration(caller=world.admin, migration=Migration.objects.get())
    world.box.deliver(until_prepared)
    world.box.recover()
    world.assert_undone(action, ActionState.CANCELLED)
    assert Migration.objects.get().status == MigrationStatus.CANCELLED
    abort = Action.objects.get(operation="live_migration_abort")
    assert ActionEvent.objects.get(action=abort).output == {"heard": False}


def test_a_cancel_at_any_moment_ends_at_one_of_the_two_hosts(world: World) -> None:
    outcomes = set()
    for moment in range(1, 30):
        action = migrate(world)
        is_over = [world.box.step() is None for _ in range(moment)][-1]
        cancel(action.pk)
        world.box.recover()
        action.refresh_from_db()
        outcomes.add(action.state)
        if action.state == ActionState.SUCCEEDED:
            world.assert_succeeded(action)
        else:
            world.assert_undone(action, ActionState.CANCELLED)
        if is_over:
            break
    assert outcomes == {ActionState.CANCELLED, ActionState.SUCCEEDED}


# --- hosts that die ---------------------------------------------------------------------------------------------------


def power_off(world: World, host: str) -> None:
    Host.objects.filter(name=host).update(is_up=False)


def rounds_without(world: World, host: str, rounds: int = 6) -> None:
    """Time passes, and nothing reaches the host."""
    from cloud.workflow.sweeps import SWEEPS

    for _ in range(rounds):
        while world.box.step(on=lambda message: message.queue != f"compute.{host}") is not None:
            pass
        world.box.expire()
        for name, sweep in SWEEPS:
            if name != "workflow.mark_hosts_down":
                sweep()


def power_on(world: World, host: str) -> None:
    world.box.start_worker(host)
    Host.objects.filter(name=host).update(is_up=True)
    world.box.beat(host)


def test_a_destination_that_dies_in_the_middle_leaves_the_guest_at_the_source(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hypervisor.migration import MigrationFailed
    from tests.operations.test_every_operation import break_step

    source = world.instance().host
    action = migrate(world)
    error = MigrationFailed("the destination went away")
    break_step(world, monkeypatch, operation("live_migration"), "migrate_guest", error, after=False)
    message = until(world, "migrate_guest")
    power_off(world, other(source))
    world.box.deliver(message)
    rounds_without(world, other(source))
    assert guests(world)[source] == PowerState.RUNNING
    assert world.instance().host == source
    power_on(world, other(source))
    world.box.recover()
    world.assert_undone(action, ActionState.FAILED)
    assert "went away" in world.fault_message()


def lose_the_source_after_the_pivot(world: World, source: str) -> None:
    """The guest has gone over, and its source loses power before it could note that down; some rounds pass."""
    message = until(world, "migrate_guest")

    def die(point: str, order: dict[str, Any]) -> None:
        if point == "before_record" and order["name"] == "migrate_guest":
            raise Killed("power loss")

    world.box.executors[source].fault_points = die
    with pytest.raises(Killed):
        world.box.deliver(message)
    power_off(world, source)
    rounds_without(world, source)


def test_a_source_that_dies_after_the_pivot_leaves_the_guest_at_the_destination(world: World) -> None:
    source = world.instance().host
    action = migrate(world)
    lose_the_source_after_the_pivot(world, source)
    assert guests(world) == {other(source): PowerState.RUNNING}
    action.refresh_from_db()
    assert action.is_live or action.state == ActionState.SUCCEEDED
    power_on(world, source)
    world.box.recover()
    world.assert_succeeded(action)
    assert world.instance().host == other(source)
    assert world.box.leftovers_on(source, world.instance_id) == []


def test_the_destination_as_a_witness_says_whether_the_guest_has_come(world: World) -> None:
    """What the engine may ask of it when the source is dead (`LiveMigration.pivot_witnesses`)."""
    from hypervisor.migration import MigrationOrder
    from hypervisor.spec import Maker

    source, instance_id = world.instance().host, str(world.instance_id)
    action = migrate(world)
    message = until(world, "migrate_guest")
    witness = world.box.executors[other(source)].driver.migration
    order = MigrationOrder(destination=other(source))
    maker = Maker(action_id=str(action.pk), digest="")
    assert witness is not None
    assert not witness.has_moved(instance_id, order, maker)
    world.box.deliver(message)
    assert witness.has_moved(instance_id, order, maker)
    assert not witness.has_moved(instance_id, order, Maker(action_id="another", digest=""))
    assert ActionEvent.objects.filter(action=action, verb=Verb.ASK).count() == 0


def test_a_delete_in_the_middle_frees_the_room_of_both_hosts(world: World) -> None:
    migrate(world)
    until(world, "migrate_guest")
    deletion = world.delete()
    world.box.recover()
    world.assert_deleted(deletion)
    assert not Allocation.objects.exists()
    assert Migration.objects.get().status == MigrationStatus.CANCELLED


def test_a_source_that_stays_dead_after_the_pivot_holds_nothing_up(world: World) -> None:
    source = world.instance().host
    action = migrate(world)
    lose_the_source_after_the_pivot(world, source)
    action.refresh_from_db()
    assert (action.state, world.instance().host) == (ActionState.SUCCEEDED, other(source))
    assert guests(world) == {other(source): PowerState.RUNNING}
    row = Migration.objects.get()
    assert dict(Allocation.objects.values_list("consumer", "host")) == {
        row.uuid: source,
        row.instance_id: other(source),
    }
    power_on(world, source)
    for _ in range(5):
        world.box.run()
        world.box.beat(source)
    assert dict(Allocation.objects.values_list("consumer", "host")) == {row.instance_id: other(source)}
    assert world.box.leftovers_on(source, world.instance_id) == []
