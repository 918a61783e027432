"""How addresses are found, given out and given back."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest
from django.db import connections, transaction

from cloud.networks import binding, reach
from cloud.networks.models import Network, Port, PortAddress
from cloud.networks.selectors import PortRequest, addresses_of, nic_specs
from cloud.networks.services import (
    FixedIpInUse,
    FixedIpRefused,
    NoAddressLeft,
    PortTaken,
    SecondSubnet,
    allocate_ports,
    create_port,
)
from cloud.networks.services import release_ports as release
from tests.threads import in_threads, wait_for_a_waiter
from tests.unit.networks.conftest import OURS, network, subnet


def boot(
    net: Network, instance: uuid.UUID | None = None, action: uuid.UUID | None = None, **request: Any
) -> list[Port]:
    with transaction.atomic():  # as the engine runs a step
        return allocate_ports(
            instance_id=instance or uuid.uuid4(),
            project_id=OURS,
            host="h1",
            requests=[PortRequest(network_id=str(net.id), **request)],
            action_id=action or uuid.uuid4(),
        )


def ip_of(ports: list[Port]) -> str:
    return PortAddress.objects.get(port=ports[0]).ip


def test_the_lowest_free_address_is_given_and_the_gateway_never(net: Network) -> None:
    assert [ip_of(boot(net)) for _ in range(3)] == ["10.1.0.2", "10.1.0.3", "10.1.0.4"]


def test_a_released_address_is_the_next_one_given(net: Network) -> None:
    instance = uuid.uuid4()
    boot(net)
    boot(net, instance)
    boot(net)
    release(instance_id=instance)
    assert ip_of(boot(net)) == "10.1.0.3"
    assert ip_of(boot(net)) == "10.1.0.5"


def test_a_full_network_says_so_and_leaves_nothing_behind(db: None) -> None:
    net = network()
    subnet(net, "10.2.0.0/30")
    assert ip_of(boot(net)) == "10.2.0.2"
    instance = uuid.uuid4()
    with pytest.raises(NoAddressLeft, match=r"No more IP addresses .* 10\.2\.0\.0/30 \(1 addresses\)"):
        boot(net, instance)
    assert not Port.objects.filter(device_id=str(instance)).exists()


def test_a_second_subnet_is_refused_for_hosts_serve_one(db: None) -> None:
    net = network()
    subnet(net, "10.2.0.0/30")
    with pytest.raises(SecondSubnet, match=r"10\.2\.0\.0/30"):
        subnet(net, "10.3.0.0/30")
    assert net.subnets.count() == 1


def test_only_addresses_of_the_pools_are_given_out(db: None) -> None:
    net = network()
    pools = [{"start": "10.2.0.9", "end": "10.2.0.9"}, {"start": "10.2.0.4", "end": "10.2.0.5"}]
    subnet(net, "10.2.0.0/24", allocation_pools=pools)
    assert [ip_of(boot(net)) for _ in range(3)] == ["10.2.0.4", "10.2.0.5", "10.2.0.9"]
    with pytest.raises(NoAddressLeft):
        boot(net)
    assert ip_of(boot(net, fixed_ip="10.2.0.77")) == "10.2.0.77"


def test_an_address_asked_for_is_given_or_refused_with_the_reason(net: Network) -> None:
    assert ip_of(boot(net, fixed_ip="10.1.0.2")) == "10.1.0.2"
    with pytest.raises(FixedIpInUse, match=r"10\.1\.0\.2 is already allocated"):
        boot(net, fixed_ip="10.1.0.2")
    with pytest.raises(FixedIpRefused, match="gateway"):
        boot(net, fixed_ip="10.1.0.1")
    with pytest.raises(FixedIpRefused, match="broadcast"):
        boot(net, fixed_ip="10.1.0.255")
    with pytest.raises(FixedIpRefused, match="outside"):
        boot(net, fixed_ip="10.9.0.5")
    assert ip_of(boot(net)) == "10.1.0.3"


def test_an_address_asked_for_is_kept_from_the_other_interfaces_of_the_instance(net: Network) -> None:
    instance = uuid.uuid4()
    requests = [PortRequest(network_id=str(net.id)), PortRequest(network_id=str(net.id), fixed_ip="10.1.0.2")]
    allocate_ports(instance_id=instance, project_id=OURS, host="h1", requests=requests, action_id=uuid.uuid4())
    assert [a.ip for a in addresses_of([instance])[instance]] == ["10.1.0.3", "10.1.0.2"]


def test_the_same_action_gets_the_same_ports_again(net: Network) -> None:
    instance, action = uuid.uuid4(), uuid.uuid4()
    first = boot(net, instance, action)
    again = boot(net, instance, action)
    assert [p.id for p in first] == [p.id for p in again]
    assert PortAddress.objects.count() == 1


def test_ports_of_several_networks_keep_the_order_of_the_requests(db: None) -> None:
    nets = [network(f"n{i}") for i in range(3)]
    for i, net in enumerate(nets):
        subnet(net, f"10.{i + 1}.0.0/24", dns_nameservers=["9.9.9.9"])
    instance = uuid.uuid4()
    requests = [PortRequest(network_id=str(net.id)) for net in reversed(nets)]
    allocate_ports(instance_id=instance, project_id=OURS, host="h1", requests=requests, action_id=uuid.uuid4())
    specs = nic_specs(instance)
    assert [(s.network.name, s.ip, s.prefix) for s in specs] == [
        ("n2", "10.3.0.2", 24),
        ("n1", "10.2.0.2", 24),
        ("n0", "10.1.0.2", 24),
    ]
    assert specs[0].network.bridge == f"kn-{nets[2].id.hex[:12]}"
    assert (specs[0].network.gateway_ip, specs[0].network.dns, specs[0].network.mode) == (
        "10.3.0.1",
        ("9.9.9.9",),
        "nat",
    )


def test_a_users_port_is_bound_and_on_release_unbound_and_kept(net: Network) -> None:
    port = create_port(network_id=net.id, project_id=OURS, name="mine")
    instance, action = uuid.uuid4(), uuid.uuid4()
    bound = boot(net, instance, action, port_id=str(port.id))
    assert [p.id for p in bound] == [port.id]
    assert [p.id for p in boot(net, instance, action, port_id=str(port.id))] == [port.id]
    port.refresh_from_db()
    assert (port.device_id, port.binding_host, port.status) == (str(instance), "h1", "ACTIVE")
    with pytest.raises(PortTaken):
        boot(net, port_id=str(port.id))
    release(instance_id=instance)
    port.refresh_from_db()
    assert (port.device_id, port.binding_host, port.status, port.bound_by) == ("", "", "DOWN", None)
    assert port.addresses.count() == 1


def test_releasing_twice_and_releasing_nothing_are_harmless(net: Network) -> None:
    instance = uuid.uuid4()
    boot(net, instance)
    release(instance_id=instance)
    release(instance_id=instance)
    assert Port.objects.count() == 0


def test_an_undo_releases_only_what_its_action_made(net: Network) -> None:
    instance, first, second = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    kept = boot(net, instance, first)
    boot(net, instance, second)
    release(instance_id=instance, action_id=second)
    assert [p.id for p in Port.objects.filter(device_id=str(instance))] == [kept[0].id]


def test_a_mac_that_is_taken_is_drawn_again(net: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(["fa:16:3e:00:00:01", "fa:16:3e:00:00:01", "fa:16:3e:00:00:02"])
    monkeypatch.setattr(binding, "random_mac", lambda: next(drawn))
    assert [boot(net)[0].mac for _ in range(2)] == ["fa:16:3e:00:00:01", "fa:16:3e:00:00:02"]


def test_what_a_user_writes_into_device_id_gives_the_instance_no_interface(net: Network) -> None:
    instance = uuid.uuid4()
    create_port(network_id=net.id, project_id=OURS, device_id=str(instance))
    assert nic_specs(instance) == ()
    assert addresses_of([instance]) == {}


def test_addresses_of_many_instances_cost_one_query(net: Network, django_assert_num_queries: Any) -> None:
    instances = [uuid.uuid4() for _ in range(20)]
    for instance in instances:
        boot(net, instance)
    with django_assert_num_queries(1):
        found = addresses_of(instances)
    assert len(found) == 20
    address = found[instances[0]][0]
    assert (address.network_name, address.ip, address.version, address.type) == ("net", "10.1.0.2", 4, "fixed")
    assert address.mac.startswith("fa:16:3e:")


def test_an_address_in_a_crowded_network_costs_as_many_queries_as_in_an_empty_one(
    db: None, django_assert_max_num_queries: Any
) -> None:
    net = network()
    crowded = subnet(net, "10.0.0.0/16")
    port = Port.objects.create(network=net, project_id=OURS, mac="fa:16:3e:00:00:00")
    PortAddress.objects.bulk_create(
        PortAddress(port=port, subnet=crowded, ip=crowded.plan.ip(n), number=n) for n in range(2, 3000) if n != 2900
    )
    reach.join([net.id], "h1")  # the first port on a host costs a few more
    with django_assert_max_num_queries(10):
        ports = boot(net)
    assert ip_of(ports) == "10.0.11.84"
    assert ip_of(boot(net)) == "10.0.11.184"


def test_request_survives_its_json() -> None:
    request = PortRequest(network_id="n", fixed_ip="10.0.0.9")
    assert request.to_json() == {"network_id": "n", "fixed_ip": "10.0.0.9"}
    assert PortRequest.from_json(request.to_json()) == request


@pytest.mark.django_db(transaction=True)
def test_threads_that_boot_at_once_get_different_addresses_and_the_surplus_is_refused() -> None:
    net = network()
    subnet(net, "10.2.0.0/28")  # 13 addresses beside the gateway
    results = in_threads(16, lambda _: ip_of(boot(net)))
    given = [r for r in results if isinstance(r, str)]
    assert sorted(given, key=lambda ip: int(ip.rsplit(".")[-1])) == [f"10.2.0.{n}" for n in range(2, 15)]
    refused = [r for r in results if not isinstance(r, str)]
    assert len(refused) == 3
    assert all(isinstance(r, NoAddressLeft) for r in refused), refused
    assert Port.objects.count() == 13


@pytest.mark.django_db(transaction=True)
def test_two_boots_over_the_same_networks_in_opposite_order_do_not_wait_for_each_other() -> None:
    nets = [network(f"n{i}") for i in range(2)]
    for i, net in enumerate(nets):
        subnet(net, f"10.{i + 1}.0.0/24")

    def two_nics(index: int) -> int:
        order = nets if index % 2 else nets[::-1]
        requests = [PortRequest(network_id=str(net.id)) for net in order]
        ports = allocate_ports(
            instance_id=uuid.uuid4(), project_id=OURS, host="h1", requests=requests, action_id=uuid.uuid4()
        )
        return len(ports)

    assert in_threads(8, two_nics) == [2] * 8


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_an_allocation_that_waits_for_a_lock_sees_what_its_holder_wrote() -> None:
    net = network()
    subnet(net)
    has_lock, other = threading.Event(), []

    def second() -> None:
        has_lock.wait(10)
        other.append(ip_of(boot(net)))
        connections.close_all()

    thread = threading.Thread(target=second)
    thread.start()
    with transaction.atomic():
        first = ip_of(boot(net))
        has_lock.set()
        wait_for_a_waiter()
    thread.join(30)
    assert (first, other) == ("10.1.0.2", ["10.1.0.3"])
