"""What a heartbeat makes of a compute node."""

from __future__ import annotations

from typing import Any

import pytest

from cloud.workflow.models import Host, Service
from hypervisor.spec import HostInventory, encode
from scheduling.inventory import observe
from scheduling.models import ComputeNode

OFFER = HostInventory(
    vcpus=4,
    memory_mib=4096,
    disk_gib=50,
    memory_mib_used=700,
    disk_gib_free=40,
    storage_id="s1",
    hypervisor_type="QEMU",
    hypervisor_version=7002000,
    architecture="x86_64",
    cpu_info={"model": "max"},
    hostname="h1.example",
    host_ip="10.0.0.1",
)


@pytest.fixture
def host(db: None) -> Host:
    service = Service.objects.create(binary="nova-compute", host="h1")
    return Host.objects.create(name="h1", service=service, is_up=True)


def beat(**changes: Any) -> dict[str, Any]:
    return {"inventory": {**encode(OFFER), **changes}, "guests": [{"instance_id": "a"}]}


def test_the_first_heartbeat_makes_the_node_with_the_operators_defaults(host: Host, settings: Any) -> None:
    settings.RAM_ALLOCATION_RATIO, settings.RESERVED_HOST_MEMORY_MIB = 1.5, 96
    observe(host, beat())
    node = ComputeNode.objects.get()
    assert (node.host, node.hypervisor_hostname, node.zone, node.is_schedulable) == ("h1", "h1.example", "nova", True)
    assert (node.vcpus, node.memory_mib, node.disk_gib, node.running_guests) == (4, 4096, 50, 1)
    assert node.free_memory_mib == (4096 - 96) * 1.5
    assert node.cpu_info == {"model": "max"}


def test_a_heartbeat_that_says_nothing_new_is_one_read_and_no_write(host: Host, django_assert_num_queries: Any) -> None:
    observe(host, beat())
    with django_assert_num_queries(1):
        observe(host, beat(memory_mib_used=900))
    with django_assert_num_queries(2):
        observe(host, beat(vcpus=8))
    assert ComputeNode.objects.get().vcpus == 8


def test_an_inventory_leaves_what_is_the_operators_and_the_claims_alone(host: Host) -> None:
    observe(host, beat())
    ComputeNode.objects.update(zone="east", ram_ratio=3.0, used_vcpus=2)
    observe(host, beat(vcpus=8))
    node = ComputeNode.objects.get()
    assert (node.zone, node.ram_ratio, node.used_vcpus, node.vcpus) == ("east", 3.0, 2, 8)


def test_a_disabled_host_stays_unschedulable_and_one_that_came_back_becomes_schedulable(host: Host) -> None:
    Service.objects.update(is_disabled=True)
    host.refresh_from_db()
    observe(host, beat())
    assert not ComputeNode.objects.get().is_schedulable
    Service.objects.update(is_disabled=False)
    observe(host, {})
    assert ComputeNode.objects.get().is_schedulable


@pytest.mark.parametrize("inventory", [None, {}, {"vcpus": 4}, "nonsense", {"nonsense": 1}, [1]])
def test_an_inventory_that_is_missing_or_unreadable_makes_no_node_and_no_crash(host: Host, inventory: Any) -> None:
    observe(host, {"inventory": inventory})
    assert not ComputeNode.objects.exists()
