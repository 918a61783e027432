"""Which hosts a network has: numbers that are its own, and changes that do not get lost among each other."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.db.migrations.executor import MigrationExecutor
from django.test import override_settings

from cloud.networks import reach
from cloud.networks.models import Network, NetworkHost, Port
from cloud.networks.selectors import nic_specs, reach_spec
from cloud.networks.services import allocate_ports, create_network, create_port, release_ports
from tests.threads import in_threads
from tests.unit.networks.conftest import OURS, Wire, network, subnet
from tests.unit.networks.test_addresses import PortRequest, boot

ADDRESSES = {f"h{n}": f"192.0.2.{n}" for n in range(20)}


def addresses(hosts: Any) -> dict[str, str]:
    """In place of the scheduling room's."""
    return {host: ADDRESSES[host] for host in hosts}


with_addresses = override_settings(NETWORK_HOST_ADDRESSES=f"{__name__}.addresses")


def boot_on(net: Network, host: str, instance: uuid.UUID | None = None) -> None:
    with transaction.atomic():
        allocate_ports(
            instance_id=instance or uuid.uuid4(),
            project_id=OURS,
            host=host,
            requests=[PortRequest(network_id=str(net.id))],
            action_id=uuid.uuid4(),
        )


def test_a_number_that_another_network_has_is_drawn_again(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = [6, 5, 5, 5]
    monkeypatch.setattr("cloud.networks.addressing.secrets.randbelow", lambda _: drawn.pop())
    assert [create_network(project_id=OURS).vni for _ in range(2)] == [6, 7]
    assert drawn == []
    drawn = [6] * 8
    with pytest.raises(IntegrityError):
        create_network(project_id=OURS)


def test_a_new_network_leaves_room_for_a_tunnel_unless_its_user_says_otherwise(member: Wire) -> None:
    assert member("POST", "/networks", {"network": {}}, 201)["network"]["mtu"] == 1450
    assert member("POST", "/networks", {"network": {"mtu": 1500}}, 201)["network"]["mtu"] == 1500
    with override_settings(NETWORK_MTU=8950):
        assert member("POST", "/networks", {"network": {}}, 201)["network"]["mtu"] == 8950


def test_only_admins_see_a_networks_number_and_where_a_port_moves(member: Wire, admin: Wire, net: Network) -> None:
    assert admin("GET", f"/networks/{net.id}")["network"]["provider:segmentation_id"] == net.vni
    assert "provider:segmentation_id" not in member("GET", f"/networks/{net.id}")["network"]
    found = admin("GET", f"/networks?provider:segmentation_id={net.vni}")["networks"]
    assert [shown["id"] for shown in found] == [str(net.id)]
    assert admin("GET", "/networks?provider:segmentation_id=0")["networks"] == []
    admin("GET", "/networks?provider:segmentation_id=many", status=400)
    (port,) = boot(net)
    Port.objects.update(moving_to="h2")
    assert admin("GET", f"/ports/{port.id}")["port"]["binding:profile"] == {"migrating_to": "h2"}


def test_a_host_is_told_all_addresses_and_a_stranger_nothing(net: Network) -> None:
    instance = uuid.uuid4()
    with with_addresses:
        boot_on(net, "h2", instance)
        boot_on(net, "h1")
    spec = reach_spec(net.id, "h1")
    assert spec is not None
    assert (spec.version, spec.addresses) == (2, ("192.0.2.1", "192.0.2.2"))
    assert spec.network == nic_specs(instance)[0].network, "both ways of telling a network build the same one"
    assert reach_spec(net.id, "h3") is None
    assert reach_spec(uuid.uuid4(), "h1") is None


def test_a_users_own_port_brings_its_network_to_the_host(net: Network) -> None:
    port = create_port(network_id=net.id, project_id=OURS)
    instance = uuid.uuid4()
    requests = [PortRequest(network_id=str(net.id), port_id=str(port.id))]
    allocate_ports(instance_id=instance, project_id=OURS, host="h1", requests=requests, action_id=uuid.uuid4())
    assert NetworkHost.objects.get().host == "h1"
    release_ports(instance_id=instance)
    reach.settle()
    assert not NetworkHost.objects.exists()


@with_addresses
@pytest.mark.django_db(transaction=True)
def test_hosts_that_join_at_once_are_all_counted() -> None:
    net = network()
    subnet(net)
    hosts = sorted(ADDRESSES)[:12]
    assert in_threads(12, lambda n: boot_on(net, hosts[n])) == [None] * 12
    assert sorted(NetworkHost.objects.values_list("host", flat=True)) == hosts
    net.refresh_from_db()
    assert net.reach_version == 12


@pytest.mark.postgres
@with_addresses
@pytest.mark.django_db(transaction=True)
def test_a_host_does_not_leave_while_it_is_getting_a_port() -> None:
    net = network()
    subnet(net)
    instance = uuid.uuid4()
    boot_on(net, "h1", instance)
    release_ports(instance_id=instance)

    def settle() -> None:
        reach.settle()
        connections.close_all()

    with transaction.atomic():
        boot_on(net, "h1")
        thread = threading.Thread(target=settle)
        thread.start()
        thread.join(30)
        assert not thread.is_alive()
    assert NetworkHost.objects.get().host == "h1"
    net.refresh_from_db()
    assert net.reach_version == 1


@pytest.mark.django_db(transaction=True)
def test_networks_from_before_get_numbers_of_their_own_and_their_hosts() -> None:
    before, after = [("networks", "0001_initial")], MigrationExecutor(connection).loader.graph.leaf_nodes("networks")
    executor = MigrationExecutor(connection)
    try:
        executor.migrate(before)
        old = executor.loader.project_state(before).apps
        made = [old.get_model("networks", "Network").objects.create(project_id=OURS, mtu=1500) for _ in range(3)]
        port = {"network": made[0], "project_id": OURS, "bound_by": uuid.uuid4()}
        for mac, host in (("fa:16:3e:00:00:01", "h1"), ("fa:16:3e:00:00:02", "h1"), ("fa:16:3e:00:00:03", "")):
            old.get_model("networks", "Port").objects.create(mac=mac, binding_host=host, **port)
    finally:
        MigrationExecutor(connection).migrate(after)
    numbers = list(Network.objects.values_list("vni", flat=True))
    assert len(set(numbers)) == 3
    assert all(0 < number < 2**24 for number in numbers)
    assert set(Network.objects.values_list("mtu", flat=True)) == {1500}
    assert list(NetworkHost.objects.values_list("network", "host")) == [(made[0].pk, "h1")]
    Port.objects.all().delete()
