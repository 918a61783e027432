"""How the target of each operation comes to be, and what must be true afterwards."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from django.test import override_settings

from cloud.api.policy import ADMIN, Caller
from cloud.images.models import Image
from cloud.networks import reach
from cloud.networks.models import NetworkHost, Port
from cloud.workflow.models import Action
from cloud.workflow.operation import operation
from cloud.workflow.states import ActionState
from instances import services
from instances.models import Fault, Flavor, Instance, Migration, MigrationStatus
from instances.operations.base import InstanceOperation
from instances.services import delete_instance
from instances.services.own_actions import begin_own_action
from instances.states import PowerState, VerbRule, VmState
from scheduling.models import Allocation, ComputeNode
from tests.operations import doctor_scenarios
from tests.operations.cloud_in_a_box import CloudInABox
from tests.operations.tenant import Tenant

# What the guest of an instance in each state is seen as; those without a guest are left out.
_POWER = {
    VmState.ACTIVE: PowerState.RUNNING,
    VmState.RESCUED: PowerState.RUNNING,
    VmState.RESIZED: PowerState.RUNNING,
    VmState.PAUSED: PowerState.PAUSED,
    VmState.STOPPED: PowerState.SHUTDOWN,
    VmState.SUSPENDED: PowerState.SHUTDOWN,
    VmState.SHELVED: PowerState.SHUTDOWN,
    VmState.SOFT_DELETED: PowerState.SHUTDOWN,
}
_WITHOUT_GUEST = (VmState.SHELVED_OFFLOADED, VmState.DELETED)


class World:
    """One cloud, one tenant, one instance at a time. `before`: its facts when the operation under test began."""

    def __init__(self, box: CloudInABox) -> None:
        self.box = box
        self.tenant = Tenant()
        self.instance_id: uuid.UUID | None = None
        self.before: dict[str, Any] = {}

    @property
    def admin(self) -> Caller:
        """An admin in the tenant's project: every verb is open to it."""
        return dataclasses.replace(self.tenant.caller, roles=frozenset({ADMIN}))

    def begin(self, service: Callable[..., Any]) -> Action:
        """The verb, begun by an admin; its action."""
        self.before = self.facts()
        service(caller=self.admin, instance=self.instance())
        return Action.objects.filter(target_id=self.instance_id).latest("created_at")

    def begin_own(self, operation: str) -> Action:
        """What the cloud begins by itself."""
        self.before = self.facts()
        assert self.instance_id is not None
        action = begin_own_action(instance_id=self.instance_id, operation=operation)
        assert action is not None
        return action

    def guest_becomes(self, power_state: PowerState, event: str, reason: str = "") -> None:
        """The guest changes behind the cloud's back."""
        instance = self.instance()
        lifecycle = self.box.executors[instance.host].driver.lifecycle
        lifecycle.set_power_state(str(instance.pk), power_state, event, reason)  # type: ignore[attr-defined]

    def lose_power(self) -> None:
        """The instance's host loses its power and gets it back: its guests are off, and its boot is another."""
        self.box.executors[self.instance().host].driver.power.lose_power()  # type: ignore[attr-defined]

    def bring_to(self, vm_state: VmState) -> None:
        """Takes the ACTIVE instance along its road to `vm_state`."""
        for service in ROADS[vm_state]:
            action = self.begin(service)
            self.box.recover()
            action.refresh_from_db()
            assert action.state == ActionState.SUCCEEDED, (action.operation, action.state, action.fault)
        assert self.instance().vm_state == vm_state

    def start_over(self) -> None:
        """Deletes the instance, so that another may follow."""
        if self.instance().deleted_at is None:
            self.delete()
            self.box.recover()

    def instance(self) -> Instance:
        assert self.instance_id is not None
        return Instance.objects.get(pk=self.instance_id)

    def fault_message(self) -> str:
        fault = Fault.objects.filter(instance_id=self.instance_id).order_by("-pk").first()
        return fault.message if fault else ""

    def boot(self) -> Action:
        """A boot, begun."""
        self.instance_id = self.tenant.boot().pk
        return Action.objects.get(target_id=self.instance_id, operation="boot")

    def booted(self) -> None:
        """An instance that is ACTIVE."""
        action = self.boot()
        self.box.recover()
        self.assert_succeeded(action)

    def delete(self, *, hosts_known: bool = True) -> Action:
        """A delete, begun. Without `hosts_known` the instance's row has forgotten its host, and the log must know."""
        if not hosts_known:
            Instance.objects.filter(pk=self.instance_id).update(host="")
        delete_instance(caller=self.tenant.caller, instance=self.instance())
        return Action.objects.get(target_id=self.instance_id, operation="delete")

    # --- what must be true ---

    def facts(self) -> dict[str, Any]:
        """All that a verb may leave changed of the instance: its row, guests, files, room, ports and images. Who made a
        thing does not count; what is there does."""
        row = Instance.objects.values().get(pk=self.instance_id)
        text = str(self.instance_id)
        return {
            "row": {name: value for name, value in row.items() if name not in ("updated_at", "task_state")},
            "guests": {
                name: state.power_state
                for name, executor in self.box.executors.items()
                if (state := executor.driver.lifecycle.state(text)) is not None
            },
            "left": sorted(self.box.leftovers(text)),
            "allocations": sorted(
                Allocation.objects.values_list("consumer", "host", "vcpus", "memory_mib", "disk_gib"), key=str
            ),
            "ports": sorted(Port.objects.values_list("id", "device_id", "binding_host"), key=str),
            "images": sorted(Image.objects.exclude(status="deleted").values_list("id", "status"), key=str),
        }

    def assert_succeeded(self, action: Action) -> None:
        """The operation is done: states as its table says, and hosts, allocations and ports agree with the row."""
        action.refresh_from_db()
        assert action.state == ActionState.SUCCEEDED, (action.state, action.fault)
        if not isinstance(operation(action.operation), InstanceOperation):
            self.assert_consistent()
            return
        self.let_hosts_return()
        instance, rule = self.instance(), self.rule(action)
        if instance.vm_state == VmState.DELETED:
            self.assert_deleted(action)
            return
        expected = EXPECTED.get(action.operation) or rule.becomes or self.before["row"]["vm_state"]
        assert (instance.vm_state, instance.task_state) == (expected, None)
        self.assert_consistent()

    def assert_consistent(self) -> None:
        """The row and the world agree: one guest, on the row's host, in the row's power_state; room as allocated."""
        instance = self.instance()
        facts = self.facts()
        if instance.vm_state in _WITHOUT_GUEST:
            assert facts["guests"] == {}
            assert facts["left"] == [], instance.vm_state
        else:
            assert instance.host
            others = set(self.box.executors) - self.hosts_that_may_hold()
            seen, expected = facts["guests"].get(instance.host), _POWER[VmState(instance.vm_state)]
            assert (seen, instance.power_state) == (expected, expected), (instance.vm_state, facts)
            left = [left for name in others for left in self.box.leftovers_on(name, instance.pk)]
            assert left == [], (instance.vm_state, instance.host)
            assert Allocation.objects.filter(consumer=instance.pk, host=instance.host).count() == 1
        self.assert_usage_equals_allocations()

    def hosts_that_may_hold(self) -> set[str]:
        """Hosts that may have something of the instance now: its own, and both of a migration that waits."""
        waiting = Migration.objects.filter(instance_id=self.instance_id, status=MigrationStatus.FINISHED)
        return {self.instance().host}.union(*waiting.values_list("source_host", "destination_host"))

    def assert_undone(self, action: Action, state: ActionState) -> None:
        """The operation is undone: everything as it was before it; or for a boot nothing is there."""
        action.refresh_from_db()
        assert action.state == state, (action.state, action.fault)
        instance, rule = self.instance(), self.rule(action)
        assert instance.task_state is None
        if action.operation == "boot":
            assert (instance.vm_state, instance.host) == (VmState.ERROR, "")
            self.assert_nothing_left(instance)
            return
        expected = {**self.before, "row": {**self.before["row"]}}
        if rule.falls_back_to is not None:
            expected["row"]["vm_state"] = rule.falls_back_to
        assert _differences(expected, self.facts()) == {}
        self.assert_usage_equals_allocations()

    def let_hosts_return(self) -> None:
        """Every host that is down comes back, and does what the answer to its hello says: it lets go what is not its
        own (rule R6)."""
        for name in sorted(self.box.off):
            self.box.power_on(name)

    def assert_deleted(self, action: Action) -> None:
        self.let_hosts_return()
        action.refresh_from_db()
        assert action.state == ActionState.SUCCEEDED, (action.state, action.fault)
        instance = self.instance()
        assert (instance.vm_state, instance.task_state, instance.host) == (VmState.DELETED, None, "")
        assert instance.deleted_at is not None
        self.assert_nothing_left(instance)

    def assert_nothing_left(self, instance: Instance) -> None:
        assert self.box.leftovers(instance.pk) == []
        assert not Allocation.objects.filter(consumer=instance.pk).exists()
        assert not self.tenant.ports_of(instance.pk)
        self.assert_usage_equals_allocations()

    def assert_usage_equals_allocations(self) -> None:
        for node in ComputeNode.objects.all():
            taken = Allocation.objects.filter(host=node.host)
            used = (node.used_vcpus, node.used_memory_mib, node.used_disk_gib)
            assert used == tuple(sum(getattr(a, f) for a in taken) for f in ("vcpus", "memory_mib", "disk_gib"))

    @staticmethod
    def rule(action: Action) -> VerbRule:
        """The operation's row of the table."""
        verb = operation(action.operation)
        assert isinstance(verb, InstanceOperation)
        return verb.rule


def _differences(expected: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What is otherwise than expected: (expected, found) by fact; columns of the row one by one."""
    columns = {
        f"row.{name}": (value, found["row"][name])
        for name, value in expected["row"].items()
        if found["row"][name] != value
    }
    others = {name: (expected[name], found[name]) for name in expected if name != "row"}
    return columns | {name: pair for name, pair in others.items() if pair[0] != pair[1]}


# --- how each operation's target comes to be --------------------------------------------------------------------------


def in_state(vm_state: VmState | None, begin: Callable[..., Any]) -> Callable[[World], Action]:
    """A scenario: an instance that verbs brought to `vm_state`, and `begin`, a service that takes caller and instance.
    Give the action that it began."""

    def scenario(world: World) -> Action:
        world.booted()
        if vm_state is not None:
            world.bring_to(vm_state)
        return world.begin(begin)

    return scenario


def rebuild(*, caller: Caller, instance: Instance) -> Action:
    """A rebuild from another image, with another name."""
    image = Image.objects.exclude(pk=instance.image_id).get(name="another image")
    return services.rebuild_instance(
        caller=caller,
        instance=instance,
        image_id=str(image.pk),
        password="secret-1",
        changes={"display_name": "rebuilt", "metadata": {"a": "b"}},
    )


def rescue(*, caller: Caller, instance: Instance) -> Action:
    """A rescue with the instance's own image."""
    return services.rescue_instance(caller=caller, instance=instance, password="secret-1")


def _rebuild(world: World) -> Action:
    world.booted()
    world.tenant.another_image()
    return world.begin(rebuild)


def _evacuate(world: World) -> Action:
    world.let_hosts_return()
    if "h3" not in world.box.executors:
        world.box.add_host("h3")  # a destination that fails is left for another one
    world.booted()
    world.box.power_off(world.instance().host)
    return world.begin(services.evacuate_instance)


def _delete(world: World) -> Action:
    world.booted()
    return world.delete()


def _network_reach(world: World) -> Action:
    """A host of the instance's network is told of the others."""
    world.booted()
    host = NetworkHost.objects.get(network=world.tenant.network, host=world.instance().host)
    assert reach.tell([host]) == 1
    return Action.objects.latest("created_at")


def soft_delete(*, caller: Caller, instance: Instance) -> Action:
    """A delete where deleted instances are kept."""
    with override_settings(RECLAIM_INSTANCE_INTERVAL=3600):
        return services.request_delete(caller=caller, instance=instance)


def change_password(*, caller: Caller, instance: Instance) -> Action:
    """A new password."""
    return services.change_password(caller=caller, instance=instance, password="secret")


def _larger(caller: Caller, instance: Instance) -> Action:
    """A resize to a flavor that is larger in everything."""
    name = f"larger-{uuid.uuid4().hex[:8]}"
    Flavor.objects.create(flavorid=name, name=name, memory_mib=256, vcpus=2, disk_gib=2)
    return services.resize_instance(caller=caller, instance=instance, flavor_id=name)


def _with_a_third_host(scenario: Callable[[World], Action]) -> Callable[[World], Action]:
    """So that a move which must leave its host has another choice when one fails."""

    def prepared(world: World) -> Action:
        if "h3" not in world.box.executors:
            world.box.add_host("h3")
        return scenario(world)

    return prepared


# How an ACTIVE instance comes to another state: services, one after the other.
ROADS: dict[VmState, tuple[Callable[..., Any], ...]] = {
    VmState.ACTIVE: (),
    VmState.STOPPED: (services.stop_instance,),
    VmState.SOFT_DELETED: (soft_delete,),
    VmState.PAUSED: (services.pause_instance,),
    VmState.SUSPENDED: (services.suspend_instance,),
    VmState.RESCUED: (rescue,),
    VmState.SHELVED: (services.shelve_instance,),
    VmState.SHELVED_OFFLOADED: (services.shelve_instance, services.shelve_offload_instance),
    VmState.RESIZED: (_larger,),
}


def _after_a_reboot_of_the_host(world: World) -> Action:
    world.booted()
    world.lose_power()
    Instance.objects.filter(pk=world.instance_id).update(power_state=PowerState.SHUTDOWN)
    return world.begin_own("power_on_again")


def _started_by_hand(world: World) -> Action:
    world.booted()
    world.bring_to(VmState.STOPPED)
    world.guest_becomes(PowerState.RUNNING, "started")
    return world.begin_own("end_unexpected_guest")


# The vm_state after success, where the table leaves the choice to the operation.
EXPECTED: dict[str, VmState] = {}

SCENARIOS: dict[str, Callable[[World], Any]] = {
    "boot": World.boot,
    "delete": _delete,
    "soft_delete": in_state(None, soft_delete),
    "restore": in_state(VmState.SOFT_DELETED, services.restore_instance),
    "change_password": in_state(None, change_password),
    "stop": in_state(None, services.stop_instance),
    "start": in_state(VmState.STOPPED, services.start_instance),
    "resize": in_state(None, _larger),
    "migrate": _with_a_third_host(in_state(None, services.migrate_instance)),
    "confirm_resize": in_state(VmState.RESIZED, services.confirm_resize),
    "revert_resize": in_state(VmState.RESIZED, services.revert_resize),
    "hard_reboot": in_state(None, services.hard_reboot_instance),
    "network_reach": _network_reach,
    "reboot": in_state(None, services.reboot_instance),
    "pause": in_state(None, services.pause_instance),
    "unpause": in_state(VmState.PAUSED, services.unpause_instance),
    "suspend": in_state(None, services.suspend_instance),
    "resume": in_state(VmState.SUSPENDED, services.resume_instance),
    "trigger_crash_dump": in_state(None, services.trigger_crash_dump),
    "power_on_again": _after_a_reboot_of_the_host,
    "end_unexpected_guest": _started_by_hand,
    **doctor_scenarios.SCENARIOS,
    "rebuild": _rebuild,
    "rescue": in_state(None, rescue),
    "unrescue": in_state(VmState.RESCUED, services.unrescue_instance),
    "evacuate": _evacuate,
    "snapshot": in_state(None, partial(services.snapshot_instance, name="image")),
    "backup": in_state(None, partial(services.backup_instance, name="image", backup_type="daily", rotation=1)),
    "shelve": in_state(None, services.shelve_instance),
    "shelve_offload": in_state(VmState.SHELVED, services.shelve_offload_instance),
    "unshelve": in_state(VmState.SHELVED_OFFLOADED, services.unshelve_instance),
    "unshelve_in_place": in_state(VmState.SHELVED, services.unshelve_instance),
    "live_migration": in_state(None, services.live_migrate_instance),
}
