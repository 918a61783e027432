"""A network of this host that reaches another one: the host under test is real, the far one is made by hand."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisor.spec import GuestSpec, NetworkSpec, NicSpec, ReachSpec
from tests.contract import specs
from tests.contract.hosts import LibvirtHost, load_host
from tests.contract.wires import FarHost, Guest, Wires, exchange, frames_until, run, waiting, wires

pytestmark = pytest.mark.real


class Near:
    """The host under test, which a far one reaches; what was plugged is unplugged at the end."""

    def __init__(self, host: LibvirtHost, far: FarHost) -> None:
        self.host = host
        self.far = far
        self.plugged: list[GuestSpec] = []
        self.version = 0

    def plug(self, *nics: NicSpec) -> GuestSpec:
        guest = specs.guest(*nics)
        self.plugged.append(guest)
        self.host.driver.interfaces.plug(guest, specs.maker(), specs.Listener())
        return guest

    def unplug(self, guest: GuestSpec) -> None:
        self.host.driver.interfaces.unplug(guest.instance_id, guest.nics, None)

    def tell(self, network: NetworkSpec, *addresses: str) -> None:
        self.version += 1
        told = ReachSpec(network=network, version=self.version, addresses=addresses)
        assert self.host.driver.interfaces.set_reach(told) == self.version

    def join(self, network: NetworkSpec, *nics: NicSpec) -> None:
        """The network on both hosts, each knowing the other."""
        self.plug(*nics)
        self.far.join(network)
        self.tell(network, self.far.near_address, self.far.address)


@pytest.fixture
def wired() -> Iterator[Wires]:
    with wires() as made:
        yield made


@pytest.fixture
def near(real_libvirt: str, state_dir: Path, wired: Wires) -> Iterator[Near]:
    far = FarHost.beside(wired)
    host = load_host("libvirt", state_dir, host_ip=far.near_address)
    assert isinstance(host, LibvirtHost)
    made = Near(host, far)
    yield made
    for guest in made.plugged:
        made.unplug(guest)
    host.clean()


def tunnel(network: NetworkSpec) -> str:
    return network.bridge.replace("kn-", "kv-")


def flooded(network: NetworkSpec) -> set[str]:
    """Where the network's broadcasts go; nowhere without a tunnel."""
    shown = subprocess.run(["bridge", "-j", "fdb", "show", "dev", tunnel(network)], capture_output=True, text=True)
    entries = json.loads(shown.stdout) if shown.returncode == 0 else []
    return {entry["dst"] for entry in entries if entry["mac"] == "00:00:00:00:00:00"}


def leftovers(network: NetworkSpec) -> list[str]:
    """What the machine has of the network."""
    known = run("ip", "-o", "link") + run("ebtables", "-L")
    return [line for line in known.splitlines() if network.bridge in line or tunnel(network) in line]


@pytest.mark.parametrize("mode", ["nat", "isolated"])
def test_guests_on_two_hosts_reach_each_other_with_packets_as_large_as_the_network_says(
    near: Near, wired: Wires, mode: str
) -> None:
    network = specs.network(mode=mode)
    ours, theirs = specs.nic(network, 10), specs.nic(network, 11)
    near.join(network, ours)
    one, other = Guest(wired, ours).udp(), Guest(wired, theirs, near.far).udp()
    exchange(one, other)
    exchange(one, other, network.mtu - 28)
    with pytest.raises(OSError, match="Message too long"):
        exchange(one, other, network.mtu - 27)


def test_a_network_as_wide_as_the_wire_between_the_hosts_works_in_pieces(near: Near, wired: Wires) -> None:
    network = specs.network(mtu=1500)
    ours, theirs = specs.nic(network, 10), specs.nic(network, 11)
    near.join(network, ours)
    one, other = Guest(wired, ours), Guest(wired, theirs, near.far)
    exchange(one.udp(may_be_cut=True), other.udp(may_be_cut=True), 1472)


def test_what_a_guest_asks_its_gateway_and_dhcp_stays_on_its_host(near: Near, wired: Wires) -> None:
    network = specs.network()
    ours, theirs = specs.nic(network, 10), specs.nic(network, 11)
    near.join(network, ours)
    guest = Guest(wired, ours)
    sniffer, raw = near.far.sniffer(), guest.raw()
    last = guest.question(theirs.ip)
    for frame in (guest.question(str(network.gateway_ip)), guest.discovery(), last):
        raw.send(frame)
    crossed = frames_until(sniffer, last)
    assert [frame for frame in crossed if frame[12:14] == b"\x08\x06"] == []
    assert [frame for frame in crossed if frame[12:14] == b"\x08\x00"] == []
    while not _is_from_dhcp(raw.recv(65535)):  # its own host's DHCP does answer
        pass


def _is_from_dhcp(frame: bytes) -> bool:
    return frame[12:14] == b"\x08\x00" and frame[34:36] == b"\x00\x43"


def test_a_host_answers_no_question_that_comes_through_the_tunnel(near: Near, wired: Wires) -> None:
    network = specs.network()
    ours, theirs = specs.nic(network, 10), specs.nic(network, 11)
    near.join(network, ours, theirs)  # its DHCP knows both: what is not answered came the wrong way
    guest, stranger = Guest(wired, ours), Guest(wired, theirs, near.far)
    raw = stranger.raw()
    for frame in (stranger.question(str(network.gateway_ip)), stranger.discovery()):
        raw.send(frame)
    exchange(stranger.udp(), guest.udp())
    dropped = [line for line in run("ebtables", "-L", "INPUT", "--Lc").splitlines() if tunnel(network) in line]
    assert len(dropped) == 1
    assert int(dropped[0].split("pcnt = ")[1].split()[0]) >= 2
    gateway = _mac_of_bridge(network)
    assert [frame for frame in waiting(raw) if frame[6:12] == gateway or _is_from_dhcp(frame)] == []


def _mac_of_bridge(network: NetworkSpec) -> bytes:
    shown = json.loads(run("ip", "-j", "link", "show", network.bridge))
    return bytes.fromhex(shown[0]["address"].replace(":", ""))


def test_the_bridge_has_a_mac_that_follows_from_the_network(near: Near) -> None:
    network = specs.network()
    near.plug(specs.nic(network))
    assert _mac_of_bridge(network).hex() == "525400" + network.id.replace("-", "")[:6]


def test_dhcp_tells_guests_the_networks_mtu(near: Near) -> None:
    network = specs.network(mtu=1400)
    near.plug(specs.nic(network))
    told = Path(f"/var/lib/libvirt/dnsmasq/{network.bridge}.conf").read_text()
    assert "dhcp-option=option:mtu,1400" in told


def test_a_guest_that_moves_is_found_where_it_went_and_when_it_comes_back(near: Near, wired: Wires) -> None:
    network = specs.network()
    staying, moving = specs.nic(network, 10), specs.nic(network, 11)
    near.join(network, staying)
    one = Guest(wired, staying).udp()
    for place in (near.far, None, near.far, None):
        guest = Guest(wired, moving, place)
        raw = guest.raw()
        raw.send(guest.announcement())
        exchange(one, guest.udp())
        guest.leave()


def test_who_was_told_before_its_first_port_reaches_the_others_from_that_port_on(near: Near) -> None:
    network = specs.network()
    near.tell(network, near.far.near_address, near.far.address)
    assert leftovers(network) == []
    near.plug(specs.nic(network))
    assert flooded(network) == {near.far.address}


def test_broadcasts_go_to_the_hosts_that_were_told_last(near: Near) -> None:
    network = specs.network()
    near.plug(specs.nic(network))
    assert flooded(network) == set()
    own = near.far.near_address
    for others in ({"192.0.2.1"}, {"192.0.2.1", "192.0.2.2"}, {"192.0.2.2", "192.0.2.3"}):
        near.tell(network, own, *others)
        assert flooded(network) == others
    late = ReachSpec(network=network, version=1, addresses=(own, "192.0.2.9"))
    assert near.host.driver.interfaces.set_reach(late) == 3
    assert flooded(network) == {"192.0.2.2", "192.0.2.3"}
    near.tell(network, own)
    assert tunnel(network) not in "".join(leftovers(network))


def test_a_tunnel_that_somebody_took_down_comes_back_with_the_next_port(near: Near) -> None:
    network = specs.network()
    near.plug(specs.nic(network, 10))
    near.tell(network, near.far.near_address, near.far.address)
    run("ip", "link", "delete", tunnel(network))
    near.plug(specs.nic(network, 11))
    assert flooded(network) == {near.far.address}
    assert len([line for line in run("ebtables", "-L", "FORWARD").splitlines() if tunnel(network) in line]) == 1


def test_a_network_that_is_built_anew_has_its_tunnel_again(near: Near, wired: Wires) -> None:
    network = specs.network()
    ours, theirs = specs.nic(network, 10), specs.nic(network, 11)
    near.join(network, ours)
    near.host.network(network).destroy()
    near.plug(specs.nic(network, 12))
    exchange(Guest(wired, ours).udp(), Guest(wired, theirs, near.far).udp())


def test_nothing_of_a_tunnel_is_left_when_the_last_port_goes(near: Near) -> None:
    network = specs.network()
    one, other = near.plug(specs.nic(network, 10)), near.plug(specs.nic(network, 11))
    near.tell(network, near.far.near_address, near.far.address)
    near.unplug(one)
    assert flooded(network) == {near.far.address}
    near.unplug(other)
    assert leftovers(network) == []
    (kept,) = (near.host.config.state_dir / "networks").iterdir()
    assert kept.suffix == ".reach", "what it was told stays for a day, or the next port would reach nobody"


def test_a_port_that_comes_after_the_last_one_went_reaches_the_others_untold(near: Near) -> None:
    network = specs.network()
    only = near.plug(specs.nic(network, 10))
    near.tell(network, near.far.near_address, near.far.address)
    near.unplug(only)
    near.plug(specs.nic(network, 11))
    assert flooded(network) == {near.far.address}


def test_a_host_that_nobody_can_reach_builds_no_tunnel(libvirt_host: LibvirtHost) -> None:
    network = specs.network()
    guest = specs.guest(specs.nic(network))
    told = ReachSpec(network=network, version=1, addresses=("127.0.0.1", "192.0.2.1"))
    libvirt_host.driver.interfaces.set_reach(told)
    libvirt_host.driver.interfaces.plug(guest, specs.maker(), specs.Listener())
    assert flooded(network) == set()
    libvirt_host.driver.interfaces.unplug(guest.instance_id, guest.nics, None)
