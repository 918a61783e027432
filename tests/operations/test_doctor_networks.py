"""The doctor and what networks are made of on hosts: tunnels, packet filters, leases, and what is left of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloud.networks import reach
from cloud.networks.models import NetworkHost, Port
from cloud.workflow.models import Action
from hypervisor import side_files
from hypervisor.inspection import inspect
from hypervisor.queries import QUERIES
from instances import services
from instances.doctor.examination import examine
from instances.models import Instance
from tests.operations.cloud_in_a_box import CloudInABox
from tests.operations.doctoring import (
    ADDRESSES,
    assert_repaired,
    boot_on,
    doctor,
    driver,
    give_addresses,
    state_dir,
    wrong,
)
from tests.operations.scenarios import SCENARIOS, World

pytestmark = pytest.mark.django_db(transaction=True)

H1, H2 = ADDRESSES["h1"], ADDRESSES["h2"]


@pytest.fixture
def world(box: CloudInABox) -> World:
    """A network over two hosts that know each other, with the instance on h1."""
    give_addresses(box)
    world = World(box)
    for host in ("h2", "h1"):
        boot_on(world, host)
    assert tunnel(world, "h1")["peers"] == [H2]
    assert tunnel(world, "h2")["peers"] == [H1]
    return world


def short(world: World) -> str:
    return str(world.tenant.network.pk.hex[:12])


def tunnel_file(world: World, host: str) -> Path:
    return state_dir(world, host) / "simulated" / "tunnels" / f"kv-{short(world)}.json"


def tunnel(world: World, host: str) -> dict[str, Any]:
    return side_files.read(tunnel_file(world, host)) or {}


def put(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    side_files.write(path, content)


def test_a_tunnel_that_is_gone_comes_back(world: World) -> None:
    whole = tunnel(world, "h1")
    tunnel_file(world, "h1").unlink()
    report = assert_repaired(world, "tunnel.missing")
    assert report["findings"][0]["objects"] == {"host": "h1", "network": str(world.tenant.network.pk)}
    assert tunnel(world, "h1") == whole
    reach.tell_stale()
    world.box.run()
    assert doctor(world.box)[1]["findings"] == []


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"peers": ["192.0.2.77"]}, "goes to 192.0.2.77 instead of 192.0.2.2"),
        ({"peers": []}, "goes to nobody instead of 192.0.2.2"),
        ({"peers": [H2, "192.0.2.77"]}, "goes to 192.0.2.2, 192.0.2.77 instead of 192.0.2.2"),
        ({"vni": 0}, "is number 0 of 192.0.2.1, not"),
        ({"local": "192.0.2.9"}, "of 192.0.2.9, not"),
        ({"is_attached": False}, "is down or not on the network's bridge"),
    ],
)
def test_a_tunnel_that_is_not_as_the_database_says_is_made_right(
    world: World, damage: dict[str, Any], said: str
) -> None:
    whole = tunnel(world, "h1")
    put(tunnel_file(world, "h1"), {**whole, **damage})
    report = assert_repaired(world, "tunnel.wrong")
    assert said in report["findings"][0]["danger"]
    assert tunnel(world, "h1") == whole


def test_a_host_that_keeps_wrong_addresses_believes_what_it_is_told_anew(world: World) -> None:
    """Its record says what its tunnel does, and is of the version that it was told last."""
    network = str(world.tenant.network.pk)
    record = state_dir(world, "h1") / "simulated" / "networks" / f"{network}.reach"
    put(record, {**(side_files.read(record) or {}), "addresses": [H1, "192.0.2.77"]})
    put(tunnel_file(world, "h1"), {**tunnel(world, "h1"), "peers": ["192.0.2.77"]})
    assert_repaired(world, "tunnel.wrong")
    assert (side_files.read(record) or {})["addresses"] == [H1, H2]


def test_packet_filters_that_are_gone_come_back(world: World) -> None:
    put(tunnel_file(world, "h1"), {**tunnel(world, "h1"), "is_filtered": False})
    assert_repaired(world, "tunnel.unfiltered")
    assert tunnel(world, "h1")["is_filtered"]


def test_a_tunnel_to_a_host_that_left_is_removed(world: World) -> None:
    world.start_over()
    reach.settle()
    reach.tell_stale()
    world.box.run()
    assert doctor(world.box)[1]["findings"] == []
    assert not tunnel_file(world, "h2").exists()
    put(tunnel_file(world, "h2"), {"vni": world.tenant.network.vni, "local": H2, "peers": [H1]})
    report = assert_repaired(world, "tunnel.wrong")
    assert "goes to 192.0.2.1 instead of nobody" in report["findings"][0]["danger"]
    assert not tunnel_file(world, "h2").exists()


def test_damage_on_both_hosts_is_repaired_on_both(world: World) -> None:
    for host in ("h1", "h2"):
        tunnel_file(world, host).unlink()
    assert_repaired(world, "tunnel.missing", "tunnel.missing")
    assert (tunnel(world, "h1")["peers"], tunnel(world, "h2")["peers"]) == ([H2], [H1])


def test_a_lease_of_a_mac_that_no_port_has_is_taken_back(world: World) -> None:
    (port,) = Port.objects.filter(device_id=str(world.instance_id))
    leases = state_dir(world, "h1") / "simulated" / "leases" / f"{world.tenant.network.pk}.json"
    put(leases, {port.mac: "10.77.0.7", "52:54:00:00:00:97": "10.77.0.97"})
    report = assert_repaired(world, "dhcp.leased")
    assert report["findings"][0]["objects"]["mac"] == "52:54:00:00:00:97"
    assert side_files.read(leases) == {port.mac: "10.77.0.7"}


@pytest.fixture
def without_ports(world: World) -> World:
    """h1 has no port of the network any more, and h2 knows."""
    world.start_over()
    reach.settle()
    reach.tell_stale()
    world.box.run()
    return world


def bridge_file(world: World) -> Path:
    return state_dir(world, "h1") / "simulated" / "bridges" / f"kn-{short(world)}.json"


def test_what_is_left_of_a_network_where_it_has_no_port_is_removed(without_ports: World) -> None:
    world = without_ports
    put(bridge_file(world), {"macs": ["52:54:00:00:00:97"]})
    put(tunnel_file(world, "h1"), {"vni": 1, "local": H1, "peers": [H2]})
    report = assert_repaired(world, "network.idle")
    assert report["findings"][0]["objects"]["devices"] == f"kn-{short(world)},kv-{short(world)}"
    assert not bridge_file(world).exists()
    assert not tunnel_file(world, "h1").exists()


def _of_another_cloud(world: World) -> None:
    path = bridge_file(world)
    put(path.with_name("kn-0123456789ab.json"), {})
    put(tunnel_file(world, "h1").with_name("kv-0123456789ab.json"), {"vni": 1, "local": H1, "peers": [H2]})


def _with_a_guest(world: World) -> None:
    put(bridge_file(world), {"is_used": True})


def _with_another_hosts_port(world: World) -> None:
    put(bridge_file(world), {"macs": [Port.objects.filter(bound_by__isnull=False)[0].mac]})


@pytest.mark.parametrize("make", [_of_another_cloud, _with_a_guest, _with_another_hosts_port])
def test_a_network_that_may_be_somebody_elses_is_left_alone(
    without_ports: World, make: Callable[[World], None]
) -> None:
    make(without_ports)
    status, report = doctor(without_ports.box, "--fix")
    assert (status, report["findings"]) == (0, [])


def test_a_network_that_a_guest_came_to_be_on_is_left(without_ports: World) -> None:
    put(bridge_file(without_ports), {})
    holdings = driver(without_ports, "h1").holdings
    (left,) = holdings.leftovers()
    put(bridge_file(without_ports), {"is_used": True})
    assert not holdings.forget_network(str(without_ports.tenant.network.pk))
    assert bridge_file(without_ports).exists()
    assert not left.is_used


def test_a_host_that_is_about_to_be_told_is_not_judged(world: World) -> None:
    """A change is on its way to it: what it has is what it was told before."""
    network = world.tenant.network
    NetworkHost.objects.create(network=network, host="h3", address="192.0.2.3")
    reach.tell_anew(network.pk, "h1")
    with world.box.answering():
        assert wrong(world.box, examine()) == []


def test_a_host_of_the_release_before_says_nothing_of_tunnels(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def as_before(executor: Any, arguments: dict[str, Any]) -> dict[str, Any]:
        said = inspect(executor, arguments)
        del said["leftovers"]
        for network in said["networks"]:
            for name in ("leases", "tunnel", "is_tunnel_known"):
                del network[name]
        return said

    tunnel_file(world, "h1").unlink()
    monkeypatch.setitem(QUERIES, "inspect", as_before)
    assert doctor(world.box)[1]["findings"] == []


def test_an_address_that_is_none_is_an_answer_that_cannot_be_read(world: World) -> None:
    put(tunnel_file(world, "h1"), {**tunnel(world, "h1"), "peers": ["nowhere"]})
    with world.box.answering():
        assert [finding.code.name for finding in examine().findings] == ["host.refused"]


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_nothing_is_wrong_with_a_network_over_two_hosts_at_any_moment(box: CloudInABox, name: str) -> None:
    """Between any two messages of an operation, and when it is over."""
    give_addresses(box)
    world = World(box)
    for host in ("h1", "h2"):
        boot_on(world, host)
    SCENARIOS[name](world)
    while True:
        with box.answering():
            assert wrong(box, examine()) == []
        if box.step() is None:
            break
    box.recover()
    with box.answering():
        assert wrong(box, examine()) == []


def test_a_port_that_comes_before_the_sweep_saw_the_last_one_go_reaches_the_others(world: World) -> None:
    """Nobody tells the host again: its row was there all the time."""
    services.delete_instance(caller=world.tenant.caller, instance=world.instance())
    world.box.run()
    boot_on(world, "h1")
    assert doctor(world.box)[1]["findings"] == []
    assert tunnel(world, "h1")["peers"] == [H2]


def test_a_host_that_comes_back_alone_forgets_those_that_left_meanwhile(world: World) -> None:
    """It still knows them, and is told that they are gone though there is nobody else."""
    for instance in Instance.objects.filter(deleted_at=None):
        services.delete_instance(caller=world.tenant.caller, instance=instance)
        world.box.run()
        reach.settle()
    boot_on(world, "h1")
    assert not tunnel_file(world, "h1").exists()
    assert doctor(world.box)[1]["findings"] == []


def test_the_telling_of_a_network_that_is_not_there_is_none(world: World) -> None:
    assert reach.tell_anew(uuid.uuid4(), "h1") is None
    assert reach.tell_anew(world.tenant.network.pk, "h9") is None
    assert not Action.objects.filter(operation="network_reach", state="RUNNING").exists()
