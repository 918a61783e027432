"""libvirt's networks under the driver: what is lost comes back, what is in the way goes."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from hypervisor.errors import NetworkFailed
from hypervisor.spec import GuestSpec, NetworkSpec, NicSpec
from tests.contract import specs
from tests.contract.hosts import LibvirtHost, load_host

pytestmark = pytest.mark.real


def plug(host: LibvirtHost, guest: GuestSpec, action: str = "action-1") -> None:
    host.driver.interfaces.plug(guest, specs.maker(action), specs.Listener())


def entry(nic: NicSpec) -> tuple[str, str]:
    return nic.mac, nic.ip


def two_guests(network: NetworkSpec) -> tuple[GuestSpec, GuestSpec]:
    return specs.guest(specs.nic(network, 10)), specs.guest(specs.nic(network, 11))


def test_a_network_that_was_undefined_by_hand_comes_back_with_all_its_ports(libvirt_host: LibvirtHost) -> None:
    network = specs.network()
    one, other = two_guests(network)
    plug(libvirt_host, one)
    found = libvirt_host.network(network)
    found.destroy()
    found.undefine()
    plug(libvirt_host, other)
    assert libvirt_host.dhcp(network) == {entry(one.nics[0]), entry(other.nics[0])}


def test_a_network_that_a_reboot_stopped_is_started(libvirt_host: LibvirtHost) -> None:
    network = specs.network()
    guest = specs.guest(specs.nic(network))
    plug(libvirt_host, guest)
    libvirt_host.network(network).destroy()
    plug(libvirt_host, guest)
    assert libvirt_host.dhcp(network) == {entry(guest.nics[0])}


def test_an_entry_of_nobody_for_the_same_address_gives_way(libvirt_host: LibvirtHost) -> None:
    network = specs.network()
    one, other = two_guests(network)
    plug(libvirt_host, one)
    strange = f"<host mac='52:54:00:00:00:01' ip='{other.nics[0].ip}'/>"
    libvirt_host.network(network).update(3, 4, -1, strange, 3)
    plug(libvirt_host, other)
    assert libvirt_host.dhcp(network) == {entry(one.nics[0]), entry(other.nics[0])}


def test_a_changed_network_without_guests_is_built_anew(libvirt_host: LibvirtHost) -> None:
    network = specs.network()
    guest = specs.guest(specs.nic(network))
    plug(libvirt_host, guest)
    changed = dataclasses.replace(network, mtu=1400)
    plug(libvirt_host, dataclasses.replace(guest, nics=(dataclasses.replace(guest.nics[0], network=changed),)))
    assert "size='1400'" in libvirt_host.network(network).XMLDesc()
    assert libvirt_host.dhcp(network) == {entry(guest.nics[0])}


def test_the_bridge_has_the_gateways_address_and_the_networks_mtu(libvirt_host: LibvirtHost) -> None:
    network = specs.network()
    plug(libvirt_host, specs.guest(specs.nic(network)))
    shown = subprocess.run(["ip", "addr", "show", network.bridge], check=True, capture_output=True, text=True).stdout
    assert f"inet {network.gateway_ip}/24" in shown
    assert "mtu 1450" in shown
    assert not libvirt_host.network(network).autostart()


def test_dhcp_without_a_gateway_is_refused_with_the_networks_name(libvirt_host: LibvirtHost) -> None:
    network = specs.network(gateway_ip=None)
    with pytest.raises(NetworkFailed, match="shared"):
        plug(libvirt_host, specs.guest(specs.nic(network)))


def test_a_network_without_dhcp_answers_nobody(libvirt_host: LibvirtHost) -> None:
    network = specs.network(dhcp=False)
    guest = specs.guest(specs.nic(network))
    plug(libvirt_host, guest)
    assert "<dhcp>" not in libvirt_host.network(network).XMLDesc()
    libvirt_host.driver.interfaces.unplug(guest.instance_id, guest.nics, None)
    assert libvirt_host.network(network) is None


def test_a_network_that_a_strangers_guest_is_on_stays(libvirt_host: LibvirtHost) -> None:
    network = specs.network()
    guest = specs.guest(specs.nic(network))
    plug(libvirt_host, guest)
    domain = libvirt_host.connection.createXML(
        "<domain type='qemu'><name>contract-stranger</name><memory>65536</memory><os><type>hvm</type></os><devices>"
        f"<interface type='network'><source network='{network.bridge}'/></interface></devices></domain>"
    )
    libvirt_host.driver.interfaces.unplug(guest.instance_id, guest.nics, None)
    assert libvirt_host.dhcp(network) == set()
    domain.destroy()
    plug(libvirt_host, guest)
    libvirt_host.driver.interfaces.unplug(guest.instance_id, guest.nics, None)
    assert libvirt_host.network(network) is None


def test_two_processes_plug_into_one_network(libvirt_host: LibvirtHost) -> None:
    network = specs.network()
    one, other = two_guests(network)
    script = "from tests.contract.test_libvirt_networks import plug_in_child; plug_in_child()"
    children = [
        subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[2], stdin=subprocess.PIPE)
        for _ in range(2)
    ]
    for child, guest in zip(children, (one, other), strict=True):
        assert child.stdin is not None
        child.stdin.write(pickle.dumps((libvirt_host.config.state_dir, guest)))
        child.stdin.close()
    assert [child.wait(timeout=60) for child in children] == [0, 0]
    assert libvirt_host.dhcp(network) == {entry(one.nics[0]), entry(other.nics[0])}


def plug_in_child() -> None:
    """What a second worker process does; reads the state directory and the guest from its standard input."""
    state_dir, guest = pickle.load(sys.stdin.buffer)
    host = load_host("libvirt", state_dir)
    host.driver.interfaces.plug(guest, specs.maker(), specs.Listener())
    host.driver.close()
