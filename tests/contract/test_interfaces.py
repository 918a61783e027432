"""Facet Interfaces: each port gets exactly its address, and nothing stays when it goes."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

from hypervisor.spec import GuestSpec, Maker, NicSpec, ReachSpec
from tests.contract import specs
from tests.contract.hosts import Host


def plug(host: Host, guest: GuestSpec, maker: Maker) -> None:
    host.driver.interfaces.plug(guest, maker, specs.Listener())


def unplug(host: Host, guest: GuestSpec, maker: Maker | None) -> None:
    host.driver.interfaces.unplug(guest.instance_id, guest.nics, maker)


def entry(nic: NicSpec) -> tuple[str, str]:
    return nic.mac, nic.ip


def test_dhcp_answers_each_port_with_its_address_and_nobody_else(host: Host) -> None:
    first, second = specs.network(), specs.network(mode="isolated")
    guest = specs.guest(specs.nic(first), specs.nic(second))
    for _ in range(2):
        plug(host, guest, specs.maker())
        assert host.dhcp(first) == {entry(guest.nics[0])}
        assert host.dhcp(second) == {entry(guest.nics[1])}
    for _ in range(2):
        unplug(host, guest, specs.maker())
        assert host.dhcp(first) is None
        assert host.dhcp(second) is None


def test_macs_may_be_written_in_upper_case(host: Host) -> None:
    network = specs.network()
    nic = specs.nic(network)
    guest = specs.guest(dataclasses.replace(nic, mac=nic.mac.upper()))
    plug(host, guest, specs.maker())
    assert host.dhcp(network) == {entry(nic)}
    unplug(host, guest, None)
    assert host.dhcp(network) is None


def test_a_network_stays_while_it_has_a_port(host: Host) -> None:
    network = specs.network()
    one, other = specs.guest(specs.nic(network, 10)), specs.guest(specs.nic(network, 11))
    plug(host, one, specs.maker())
    plug(host, other, specs.maker("action-2"))
    unplug(host, one, None)
    assert host.dhcp(network) == {entry(other.nics[0])}
    unplug(host, other, None)
    assert host.dhcp(network) is None


def test_an_undo_of_another_action_unplugs_nothing(host: Host) -> None:
    network = specs.network()
    guest = specs.guest(specs.nic(network))
    plug(host, guest, specs.maker())
    unplug(host, guest, specs.maker(action="action-2"))
    assert host.dhcp(network) == {entry(guest.nics[0])}


def test_a_port_that_another_instance_took_over_is_left_to_it(host: Host) -> None:
    network = specs.network()
    before = specs.guest(specs.nic(network))
    after = specs.guest(*before.nics)
    plug(host, before, specs.maker())
    plug(host, after, specs.maker("action-2"))
    unplug(host, before, None)
    assert host.dhcp(network) == {entry(after.nics[0])}


def test_a_port_that_is_plugged_already_is_not_the_next_actions_to_unplug(host: Host) -> None:
    network = specs.network()
    guest = specs.guest(specs.nic(network))
    plug(host, guest, specs.maker())
    plug(host, guest, specs.maker("action-2"))
    unplug(host, guest, specs.maker("action-2"))
    assert host.dhcp(network) == {entry(guest.nics[0])}
    unplug(host, guest, specs.maker())
    assert host.dhcp(network) is None


def test_a_host_keeps_the_latest_that_it_was_told_of_a_networks_hosts(host: Host) -> None:
    network = specs.network()
    guest = specs.guest(specs.nic(network))
    tell = host.driver.interfaces.set_reach
    told = [ReachSpec(network=network, version=version, addresses=("127.0.0.1",)) for version in (1, 2, 3)]
    assert tell(told[1]) == 2
    assert tell(told[0]) == 2
    plug(host, guest, specs.maker())
    assert tell(told[0]) == 2
    assert tell(told[2]) == 3
    unplug(host, guest, None)
    assert tell(told[0]) == 3, "another port may come before anybody saw that the last one went"


def test_what_was_never_plugged_can_be_unplugged(host: Host) -> None:
    network = specs.network()
    guest = specs.guest(specs.nic(network))
    unplug(host, guest, specs.maker())
    unplug(host, guest, None)
    assert host.dhcp(network) is None


def test_a_port_that_is_plugged_with_another_address_gets_that_one_alone(host: Host) -> None:
    network = specs.network()
    guest = specs.guest(specs.nic(network))
    moved = dataclasses.replace(guest.nics[0], ip=guest.nics[0].ip + "0")
    plug(host, guest, specs.maker())
    plug(host, dataclasses.replace(guest, nics=(moved,)), specs.maker(inputs="others"))
    assert host.dhcp(network) == {entry(moved)}


def test_guests_are_plugged_into_one_network_at_the_same_time(host: Host) -> None:
    network = specs.network()
    guests = [specs.guest(specs.nic(network, last)) for last in range(10, 14)]
    with ThreadPoolExecutor(len(guests)) as pool:
        list(pool.map(lambda guest: plug(host, guest, specs.maker()), guests))
        assert host.dhcp(network) == {entry(guest.nics[0]) for guest in guests}
        list(pool.map(lambda guest: unplug(host, guest, None), guests))
    assert host.dhcp(network) is None
