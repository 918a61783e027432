"""<interface>: one port of the guest on its network."""

from __future__ import annotations

from lxml import etree

from hypervisor.libvirt.xml.element import E
from hypervisor.libvirt.xml.traits import HostTraits
from hypervisor.spec import NicSpec

ANTI_SPOOFING = "clean-traffic"


def interface(nic: NicSpec, host: HostTraits) -> etree._Element:
    """A virtio interface on the network's bridge. Its tap is named after the port, its alias is the port's id, and it
    may send from its own MAC and address only."""
    children = [
        E.mac(address=nic.mac.lower()),
        E.source(network=nic.network.bridge),
        E.target(dev=tap_name(nic.port_id)),
        E.model(type="virtio"),
        E.mtu(size=str(nic.network.mtu)),
    ]
    if host.has_anti_spoofing:
        children.append(E.filterref(E.parameter(name="IP", value=nic.ip), filter=ANTI_SPOOFING))
    return E.interface(*children, E.alias(name=f"ua-{nic.port_id}"), type="network")


def tap_name(port_id: str) -> str:
    """The port's device on the host: "tap" and the first eleven characters of its id, as operators know it."""
    return f"tap{port_id[:11]}"
