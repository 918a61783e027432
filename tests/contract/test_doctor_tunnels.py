"""Facet Holdings on real libvirt: tunnels, packet filters, leases, and what is left of a network without ports."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hypervisor.holdings import EntryFound, LeftoverFound, NetworkFound, TunnelFound
from hypervisor.libvirt import tunnels
from hypervisor.spec import GuestSpec, NetworkSpec, ReachSpec
from tests.contract import specs
from tests.contract.hosts import LibvirtHost, load_host
from tests.contract.test_libvirt_guests import take_lease
from tests.contract.wires import run

pytestmark = pytest.mark.real

NEAR, FAR = "192.0.2.1", "192.0.2.2"  # nothing is sent there


class Near:
    """A host at NEAR with a port on a network that FAR has too."""

    def __init__(self, host: LibvirtHost) -> None:
        self.host = host
        self.network: NetworkSpec = specs.network()
        self.guest: GuestSpec = specs.guest(specs.nic(self.network))
        self.device = self.network.bridge.replace("kn-", "kv-")
        self.version = 0
        host.driver.interfaces.plug(self.guest, specs.maker(), specs.Listener())
        self.tell()

    def tell(self) -> None:
        """As `network_reach` does."""
        self.version += 1
        told = ReachSpec(network=self.network, version=self.version, addresses=(NEAR, FAR))
        self.host.driver.interfaces.set_reach(told)

    def found(self) -> NetworkFound:
        (network,) = self.host.driver.holdings.networks()
        return network

    @property
    def whole(self) -> TunnelFound:
        return TunnelFound(vni=self.network.vni, local=NEAR, peers=(FAR,))

    def leftovers(self) -> list[LeftoverFound]:
        """Those of this network: other tests' are on the machine too."""
        stem = self.network.bridge[3:]
        return [left for left in self.host.driver.holdings.leftovers() if left.name.endswith(stem)]

    def forget_ports(self) -> None:
        """The host's records of its ports are lost, and nothing else."""
        records = self.host.config.state_dir / "networks" / self.network.id
        for record in records.iterdir():
            record.unlink()
        records.rmdir()

    def clean(self) -> None:
        self.host.driver.interfaces.unplug(self.guest.instance_id, self.guest.nics, None)
        self.host.driver.holdings.forget_network(self.network.id)
        known = run("ip", "-o", "link") + run("ebtables", "-L")
        assert not [line for line in known.splitlines() if self.network.bridge in line or self.device in line]


@pytest.fixture
def near(real_libvirt: str, state_dir: Path) -> Iterator[Near]:
    host = load_host("libvirt", state_dir, host_ip=NEAR)
    assert isinstance(host, LibvirtHost)
    made = Near(host)
    yield made
    made.clean()
    host.clean()


def _delete(near: Near) -> None:
    run("ip", "link", "delete", near.device)


def _flood_elsewhere(near: Near) -> None:
    run("bridge", "fdb", "append", "00:00:00:00:00:00", "dev", near.device, "dst", "192.0.2.77")


def _take_off_the_bridge(near: Near) -> None:
    run("ip", "link", "set", near.device, "nomaster")


def _let_gateway_and_dhcp_cross(near: Near) -> None:
    run("ebtables", "-F", near.device)


def _let_the_host_speak(near: Near) -> None:
    run("ebtables", "-D", "OUTPUT", "-o", near.device, "-j", "DROP")


def _rebuild(near: Near) -> None:
    run("ip", "link", "delete", near.device)
    run("ip", "link", "add", near.device, "type", "vxlan", "id", "7", "local", NEAR, "dstport", "4789")
    run("ip", "link", "set", near.device, "master", near.network.bridge, "up")


@pytest.mark.parametrize(
    ("damage", "seen"),
    [
        (_delete, None),
        (_flood_elsewhere, {"peers": (FAR, "192.0.2.77")}),
        (_take_off_the_bridge, {"is_attached": False}),
        (_let_gateway_and_dhcp_cross, {"is_filtered": False}),
        (_let_the_host_speak, {"is_filtered": False}),
        (_rebuild, {"vni": 7, "peers": ()}),
    ],
)
def test_what_is_wrong_with_a_tunnel_is_seen_and_made_right_by_telling_anew(
    near: Near, damage: Callable[[Near], None], seen: dict[str, object] | None
) -> None:
    assert (near.found().is_tunnel_known, near.found().tunnel) == (True, near.whole)
    damage(near)
    expected = None if seen is None else dataclasses.replace(near.whole, **seen)  # type: ignore[arg-type]
    assert (near.found().is_tunnel_known, near.found().tunnel) == (True, expected)
    near.tell()
    assert near.found().tunnel == near.whole
    assert near.leftovers() == []


def test_a_network_without_gateway_and_dhcp_needs_no_filter_for_them(near: Near) -> None:
    network = specs.network(mode="isolated", gateway_ip=None, dhcp=False)
    guest = specs.guest(specs.nic(network))
    near.host.driver.interfaces.plug(guest, specs.maker(), specs.Listener())
    told = ReachSpec(network=network, version=1, addresses=(NEAR, FAR))
    near.host.driver.interfaces.set_reach(told)
    found = {known.id: known for known in near.host.driver.holdings.networks()}
    assert found[network.id].tunnel == dataclasses.replace(near.whole, vni=network.vni)
    near.host.driver.interfaces.unplug(guest.instance_id, guest.nics, None)


def test_tunnels_that_cannot_be_looked_at_are_not_known(near: Near, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without_tools:
        without_tools.setattr(tunnels, "_ENVIRONMENT", {"PATH": "/nowhere"})
        assert (near.found().is_tunnel_known, near.found().tunnel) == (False, None)
        assert near.found().is_running
        assert near.leftovers() == []
    assert near.found().tunnel == near.whole


def test_a_lease_of_a_mac_that_no_port_has_is_seen_and_released(near: Near) -> None:
    """A guest took it, and its entry and the port's record went without it."""
    gone = specs.guest(specs.nic(near.network, 97))
    (nic,) = gone.nics
    near.host.driver.interfaces.plug(gone, specs.maker(), specs.Listener())
    network = near.host.network(near.network)
    take_lease(network, nic)
    assert near.found().leases == ()
    libvirt, entry = near.host.libvirt, f"<host mac='{nic.mac}' ip='{nic.ip}'/>"
    command, section = libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE, libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST
    network.update(command, section, -1, entry, 3)
    (near.host.config.state_dir / "networks" / near.network.id / f"{nic.port_id}.json").unlink()
    stray = EntryFound(network_id=near.network.id, mac=nic.mac, ip=nic.ip)
    assert (near.found().leases, near.found().strays) == ((stray,), ())
    for _ in range(2):
        near.host.driver.holdings.forget_entry(near.network.id, nic.mac, nic.ip)
        assert near.found().leases == ()
    assert near.host.dhcp(near.network) == {(known.mac, known.ip) for known in near.guest.nics}


def test_what_is_left_of_a_network_without_ports_is_seen_and_removed(near: Near) -> None:
    near.forget_ports()
    (nic,) = near.guest.nics
    assert near.leftovers() == [
        LeftoverFound(name=near.network.bridge, macs=(nic.mac,)),
        LeftoverFound(name=near.device),
    ]
    for _ in range(2):
        assert near.host.driver.holdings.forget_network(near.network.id)
        assert near.leftovers() == []
    assert near.host.network(near.network) is None


def test_a_network_with_a_port_is_not_forgotten(near: Near) -> None:
    assert not near.host.driver.holdings.forget_network(near.network.id)
    assert near.found().tunnel == near.whole
