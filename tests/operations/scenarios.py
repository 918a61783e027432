"""How the target of each operation comes to be, and what must be true afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from cloud.networks import reach
from cloud.networks.models import NetworkHost
from cloud.workflow.models import Action
from cloud.workflow.states import ActionState
from instances.models import Fault, Instance
from instances.services import delete_instance
from instances.states import VmState
from scheduling.models import Allocation, ComputeNode
from tests.operations.cloud_in_a_box import CloudInABox
from tests.operations.tenant import Tenant


class World:
    """One cloud, one tenant, one instance at a time."""

    def __init__(self, box: CloudInABox) -> None:
        self.box = box
        self.tenant = Tenant()
        self.instance_id: uuid.UUID | None = None

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

    def assert_succeeded(self, action: Action) -> None:
        action.refresh_from_db()
        assert action.state == ActionState.SUCCEEDED, (action.state, action.fault)
        if action.operation == "delete":
            self.assert_deleted(action)
            return
        instance = self.instance()
        assert (instance.vm_state, instance.task_state) == (VmState.ACTIVE, None)
        state = self.box.executors[instance.host].driver.lifecycle.state(str(instance.pk))
        assert state is not None
        assert state.power_state == instance.power_state == 1
        others = [name for name in self.box.executors if name != instance.host]
        assert [left for name in others for left in self.box.leftovers_on(name, instance.pk)] == []
        self.assert_usage_equals_allocations()
        assert Allocation.objects.filter(consumer=instance.pk, host=instance.host).count() == 1

    def assert_undone(self, action: Action, state: ActionState) -> None:
        action.refresh_from_db()
        assert action.state == state, (action.state, action.fault)
        instance = self.instance()
        assert (instance.vm_state, instance.task_state, instance.host) == (VmState.ERROR, None, "")
        self.assert_nothing_left(instance)

    def assert_deleted(self, action: Action) -> None:
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


def _delete(world: World) -> Action:
    world.booted()
    return world.delete()


def _network_reach(world: World) -> Action:
    """A host of the instance's network is told of the others."""
    world.booted()
    host = NetworkHost.objects.get(network=world.tenant.network, host=world.instance().host)
    assert reach.tell([host]) == 1
    return Action.objects.latest("created_at")


SCENARIOS: dict[str, Callable[[World], Any]] = {
    "boot": World.boot,
    "delete": _delete,
    "network_reach": _network_reach,
}
