"""Hosts of one network learn of each other, whatever gets lost on the way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from cloud.networks import reach
from cloud.networks.models import Network, NetworkHost
from cloud.networks.services import abandon_move, move_ports, prepare_move
from cloud.workflow.models import Action, Host
from cloud.workflow.states import ActionState
from hypervisor.port_records import PortRecords, Reach
from instances.models import Instance
from instances.services import delete_instance
from scheduling.models import ComputeNode
from tests.operations.cloud_in_a_box import CloudInABox
from tests.operations.tenant import Tenant

pytestmark = pytest.mark.django_db(transaction=True)

ADDRESSES = {"h1": "192.0.2.1", "h2": "192.0.2.2", "h3": "192.0.2.3"}


class Cloud:
    """Three hosts with addresses, and one tenant."""

    def __init__(self, box: CloudInABox) -> None:
        self.box = box
        box.add_host("h3")
        for host, address in ADDRESSES.items():
            ComputeNode.objects.filter(host=host).update(host_ip=address)
        self.tenant = Tenant()

    def boot(self, host: str) -> Instance:
        instance = self.tenant.boot()
        Instance.objects.filter(pk=instance.pk).update(forced_host=host)
        self.box.recover()
        instance.refresh_from_db()
        assert (instance.vm_state, instance.host) == ("active", host)
        return instance

    def network(self) -> Network:
        return Network.objects.get(pk=self.tenant.network.pk)

    def known(self, host: str) -> Reach:
        """What the host knows."""
        records = PortRecords(self.box.configs[host].state_dir / "simulated" / "networks")
        return records.reach(str(self.tenant.network.pk))

    def all_know(self, *hosts: str) -> bool:
        """Whether the network has these hosts, each knows all of them and no other, and the database knows that."""
        addresses = tuple(ADDRESSES[host] for host in hosts)
        version = self.network().reach_version
        rows = dict(NetworkHost.objects.filter(network=self.tenant.network).values_list("host", "told"))
        known = [self.known(host) for host in hosts]
        return rows == dict.fromkeys(hosts, version) and known == [Reach(version, addresses)] * len(hosts)

    def sweep(self) -> None:
        reach.settle()
        reach.tell_stale()
        self.box.run()


@pytest.fixture
def cloud(box: CloudInABox) -> Cloud:
    return Cloud(box)


def telling() -> Any:
    return Action.objects.filter(operation="network_reach")


def test_the_first_host_of_a_network_is_told_nothing(cloud: Cloud) -> None:
    cloud.boot("h1")
    assert telling().count() == 0
    cloud.sweep()
    assert telling().count() == 0


def test_a_host_that_joins_and_those_that_are_there_are_told_at_once(cloud: Cloud) -> None:
    cloud.boot("h1")
    cloud.boot("h2")
    assert cloud.all_know("h1", "h2")
    cloud.boot("h3")
    assert cloud.all_know("h1", "h2", "h3")
    assert set(telling().values_list("state", flat=True)) == {ActionState.SUCCEEDED}


def test_a_second_instance_on_a_host_tells_nobody(cloud: Cloud) -> None:
    cloud.boot("h1")
    cloud.boot("h2")
    before = telling().count()
    cloud.boot("h2")
    assert telling().count() == before


def test_hosts_without_an_address_that_others_can_reach_are_left_alone(cloud: Cloud) -> None:
    ComputeNode.objects.update(host_ip="127.0.0.1")
    cloud.boot("h1")
    cloud.boot("h2")
    cloud.sweep()
    assert telling().count() == 0


def test_a_host_that_loses_its_last_port_leaves_and_the_others_are_told(cloud: Cloud) -> None:
    cloud.boot("h1")
    going = cloud.boot("h2")
    delete_instance(caller=cloud.tenant.caller, instance=going)
    cloud.box.recover()
    cloud.sweep()
    assert cloud.all_know("h1")
    assert cloud.known("h2").version < cloud.network().reach_version  # it will believe what it is told when it is back
    cloud.boot("h2")
    assert cloud.all_know("h1", "h2")


def test_a_host_that_was_down_is_told_when_it_is_back(cloud: Cloud) -> None:
    cloud.boot("h1")
    Host.objects.filter(name="h1").update(is_up=False)
    cloud.boot("h2")
    assert not cloud.all_know("h1", "h2")
    Host.objects.filter(name="h1").update(is_up=True)
    cloud.sweep()
    assert cloud.all_know("h1", "h2")


def test_who_joins_while_a_host_is_being_told_is_told_of_after_that(cloud: Cloud) -> None:
    cloud.boot("h1")
    cloud.boot("h2")
    row = NetworkHost.objects.get(network=cloud.tenant.network, host="h1")
    reach.tell([row])
    assert cloud.box.step() is not None  # its order is on its way, with two hosts in it
    reach.join([cloud.tenant.network.pk], "h3")
    cloud.box.run()
    assert cloud.known("h1").addresses == (ADDRESSES["h1"], ADDRESSES["h2"])
    reach.tell_stale()
    cloud.box.run()
    assert cloud.all_know("h1", "h2", "h3")


def test_an_address_that_changed_is_told(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.boot("h1")
    cloud.boot("h2")
    monkeypatch.setitem(ADDRESSES, "h2", "192.0.2.22")
    ComputeNode.objects.filter(host="h2").update(host_ip="192.0.2.22")
    cloud.sweep()
    assert cloud.all_know("h1", "h2")


def test_a_host_that_is_ahead_of_a_restored_database_listens_again(cloud: Cloud) -> None:
    cloud.boot("h1")
    cloud.boot("h2")
    Network.objects.update(reach_version=1)
    NetworkHost.objects.update(told=0)
    for _ in range(2):
        cloud.sweep()
    assert cloud.all_know("h1", "h2")
    assert cloud.network().reach_version == 3


def test_ports_that_have_no_row_of_their_host_get_one(cloud: Cloud) -> None:
    cloud.boot("h1")
    cloud.boot("h2")
    NetworkHost.objects.all().delete()
    cloud.sweep()
    assert cloud.all_know("h1", "h2")


def test_a_destination_is_one_of_the_networks_hosts_before_the_ports_move_and_the_source_until_after(
    cloud: Cloud,
) -> None:
    moving = cloud.boot("h1")
    action = Action.objects.get(target_id=moving.pk).pk
    for _ in range(2):
        prepare_move(instance_id=moving.pk, to_host="h2", action_id=action)
        cloud.sweep()
        assert cloud.all_know("h1", "h2")
    for _ in range(2):
        move_ports(instance_id=moving.pk, to_host="h2", action_id=action)
        cloud.sweep()
        assert cloud.all_know("h2")
    (port,) = cloud.tenant.ports_of(moving.pk)
    assert (port.binding_host, port.moving_to, port.bound_by) == ("h2", "", action)


def test_a_move_that_is_abandoned_leaves_the_ports_where_they_are(cloud: Cloud) -> None:
    staying = cloud.boot("h1")
    action = Action.objects.get(target_id=staying.pk).pk
    prepare_move(instance_id=staying.pk, to_host="h2", action_id=action)
    for _ in range(2):
        abandon_move(instance_id=staying.pk)
        cloud.sweep()
        assert cloud.all_know("h1")
    (port,) = cloud.tenant.ports_of(staying.pk)
    assert (port.binding_host, port.moving_to) == ("h1", "")


def test_a_network_that_is_gone_ends_the_telling(cloud: Cloud) -> None:
    cloud.boot("h1")
    row = NetworkHost.objects.get(network=cloud.tenant.network, host="h1")
    reach.tell([row])
    row.delete()
    cloud.box.recover()
    assert telling().get().state == ActionState.SUCCEEDED


def test_what_was_told_long_ago_is_forgotten_and_a_host_is_told_again_all_the_same(cloud: Cloud) -> None:
    cloud.boot("h1")
    cloud.boot("h2")
    telling().update(finished_at=timezone.now() - timedelta(days=91))
    reach.forget_old_tellings()
    assert telling().count() == 0
    cloud.boot("h3")
    cloud.sweep()
    assert cloud.all_know("h1", "h2", "h3")
