"""<network>: one network of the cloud on this host, and the DHCP entries of the ports that are plugged here."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from lxml import etree

from hypervisor.libvirt.xml.element import E, K, render
from hypervisor.spec import NetworkSpec, digest


def network(spec: NetworkSpec, entries: Iterable[tuple[str, str]]) -> str:
    """The network's definition. `entries` are (MAC, address) pairs: with no <range>, dnsmasq answers these alone."""
    return render(
        E.network(
            E.name(spec.bridge),
            E.uuid(spec.id),
            E.metadata(K.network(id=spec.id, digest=build_digest(spec))),
            *([E.forward(mode="nat")] if spec.mode == "nat" else []),
            E.bridge(name=spec.bridge, stp="off", delay="0"),
            E.mac(address=bridge_mac(spec)),
            E.mtu(size=str(spec.mtu)),
            *([E.dns(*(E.forwarder(addr=address) for address in spec.dns))] if spec.dns else []),
            *([_addresses(spec, entries)] if spec.gateway_ip else []),
        )
    )


def build_digest(spec: NetworkSpec) -> str:
    """Tells whether a network that is there was built from this spec. Its display name does not matter."""
    addresses = [spec.cidr, spec.gateway_ip, list(spec.dns), spec.dhcp]
    return digest([spec.bridge, bridge_mac(spec), spec.mode, spec.mtu, *addresses])


def bridge_mac(spec: NetworkSpec) -> str:
    """The MAC of the network's bridge, the same on all hosts: what a guest knows of its gateway stays true when it
    moves."""
    return "52:54:00:" + ":".join(re.findall("..", spec.id.replace("-", "")[:6]))


def dhcp_entry(mac: str, ip: str) -> str:
    """One DHCP entry, as networkUpdate takes it."""
    return render(E.host(mac=mac, ip=ip)).strip()


def _addresses(spec: NetworkSpec, entries: Iterable[tuple[str, str]]) -> etree._Element:
    prefix = ipaddress.ip_network(spec.cidr).prefixlen
    dhcp = [E.dhcp(*(E.host(mac=mac, ip=ip) for mac, ip in entries))] if spec.dhcp else []
    return E.ip(*dhcp, address=str(spec.gateway_ip), prefix=str(prefix))
