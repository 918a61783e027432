"""libvirt's domains under the driver: definitions that validate, connections that heal, leases that go."""

from __future__ import annotations

import socket
import struct
import subprocess
import threading
import time

import libvirt
import pytest

from hypervisor.libvirt.xml.element import KILONOVA
from hypervisor.spec import GuestSpec, ImageSource, NicSpec
from tests.contract import specs
from tests.contract.hosts import LibvirtHost

pytestmark = pytest.mark.real


def boot(host: LibvirtHost, guest: GuestSpec, image: ImageSource) -> None:
    base = host.driver.images.fetch(image, specs.Listener())
    host.driver.disks.create(guest, base, specs.maker(), specs.Listener())
    host.driver.interfaces.plug(guest, specs.maker(), specs.Listener())
    host.driver.lifecycle.start(guest, specs.maker(), specs.Listener())


def test_a_definition_is_valid_for_libvirts_schema_and_nothing_of_it_is_lost(
    libvirt_host: LibvirtHost, image: ImageSource
) -> None:
    guest = specs.guest(specs.nic(specs.network()), display_name="<&\u00fc\u0007>")
    boot(libvirt_host, guest, image)
    domain = libvirt_host.domain(guest.instance_id)
    kept = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    libvirt_host.connection.defineXMLFlags(kept, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    assert domain.isPersistent()
    assert not domain.autostart()
    assert domain.metadata(libvirt.VIR_DOMAIN_METADATA_TITLE, None) == "<&\u00fc>"
    mark = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, KILONOVA)
    assert f'instance="{guest.instance_id}"' in mark
    assert f"<alias name='ua-{guest.nics[0].port_id}'/>" in kept
    assert f"<target dev='tap{guest.nics[0].port_id[:11]}'/>" in domain.XMLDesc()


def test_a_removed_guest_leaves_no_process_no_device_and_no_file(libvirt_host: LibvirtHost, image: ImageSource) -> None:
    guest = specs.guest(specs.nic(specs.network()))
    boot(libvirt_host, guest, image)
    tap = f"tap{guest.nics[0].port_id[:11]}"
    assert subprocess.run(["ip", "link", "show", tap], check=False, capture_output=True).returncode == 0
    libvirt_host.driver.lifecycle.remove(guest.instance_id, None)
    libvirt_host.driver.interfaces.unplug(guest.instance_id, guest.nics, None)
    libvirt_host.driver.disks.delete(guest.instance_id, None)
    links = subprocess.run(["ip", "link"], check=True, capture_output=True, text=True).stdout
    assert tap not in links
    assert guest.nics[0].network.bridge not in links
    left = [path.name for path in libvirt_host.config.state_dir.rglob("*") if path.is_file()]
    assert [name for name in left if not name.startswith((image.sha512, "storage-id"))] == []


def test_a_lease_that_the_guest_took_is_gone_when_its_port_was_unplugged(libvirt_host: LibvirtHost) -> None:
    network = specs.network()
    one, other = specs.guest(specs.nic(network, 10)), specs.guest(specs.nic(network, 11))
    for guest in (one, other):
        libvirt_host.driver.interfaces.plug(guest, specs.maker(), specs.Listener())
    found = libvirt_host.network(network)
    nic = one.nics[0]
    take_lease(found, nic)
    assert [lease["ipaddr"] for lease in found.DHCPLeases(nic.mac)] == [nic.ip]
    libvirt_host.driver.interfaces.unplug(one.instance_id, one.nics, None)
    assert found.DHCPLeases() == []


def take_lease(network: libvirt.virNetwork, nic: NicSpec) -> None:
    """After it the port's address is leased. Asks seldom: dnsmasq runs a script for each answer, in turn."""
    deadline, pause = time.monotonic() + 30, threading.Event()
    while time.monotonic() < deadline:
        request_address(nic)
        for _ in range(40):
            if network.DHCPLeases(nic.mac):
                return
            pause.wait(0.05)
    raise AssertionError(f"no lease for {nic.mac}")


def request_address(nic: NicSpec) -> None:
    """A DHCPREQUEST for the port's address (RFC 2131), to the network's server, as if it came in over the bridge."""
    mac, ip = bytes.fromhex(nic.mac.replace(":", "")), socket.inet_aton(nic.ip)
    gateway = socket.inet_aton(str(nic.network.gateway_ip))
    head = b"\x01\x01\x06\x00" + struct.pack("!I", 7) + bytes(20) + mac.ljust(208, b"\0") + b"\x63\x82\x53\x63"
    options = b"\x35\x01\x03" + b"\x32\x04" + ip + b"\x36\x04" + gateway + b"\x3d\x07\x01" + mac + b"\xff"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, nic.network.bridge.encode())
        sender.sendto(head + options, (str(nic.network.gateway_ip), 67))
