"""What is read back from libvirt's XML: marks of our domains and networks, disks, DHCP entries, the host's CPU."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lxml import etree

from hypervisor.libvirt.xml.element import KILONOVA
from hypervisor.spec import Maker

_PARSER = etree.XMLParser(resolve_entities=False, no_network=True)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What a domain of ours carries."""

    instance_id: str
    maker: Maker


class Mirror(StrEnum):
    """What a block job does with a disk."""

    COPY = "copy"
    ACTIVE_COMMIT = "active-commit"
    NONE = ""


@dataclass(frozen=True, kw_only=True)
class DiskInUse:
    """One disk of a running domain: its file ("" for none), and the mirror that is being made of it."""

    source: str
    mirror: str  # a Mirror, or a word of a newer libvirt
    is_ready: bool  # the mirror has caught up


def disks_of(domain_xml: str) -> dict[str, DiskInUse]:
    """The disks of a domain by their target, "vda" and so on."""
    found = {}
    for disk in _parse(domain_xml).findall("devices/disk"):
        target, source, mirror = disk.find("target"), disk.find("source"), disk.find("mirror")
        if target is not None:
            found[target.get("dev", "")] = DiskInUse(
                source="" if source is None else source.get("file", ""),
                mirror=Mirror.NONE if mirror is None else mirror.get("job", ""),
                is_ready=mirror is not None and mirror.get("ready") == "yes",
            )
    return found


def read_mark(guest_element: str) -> Mark:
    """The mark from the <kilonova:guest> element."""
    root = _parse(guest_element)
    maker = Maker(action_id=root.get("action", ""), digest=root.get("digest", ""))
    return Mark(instance_id=root.get("instance", ""), maker=maker)


def dhcp_entries(network_xml: str) -> list[tuple[str, str]]:
    """The network's DHCP entries as (MAC, address) pairs, MACs in lower case."""
    hosts = _parse(network_xml).findall("ip/dhcp/host")
    return [(host.get("mac", "").lower(), host.get("ip", "")) for host in hosts]


def gateway_of(network_xml: str) -> str:
    """The network's own address, where its DHCP answers; "" when it has none."""
    address = _parse(network_xml).find("ip")
    return "" if address is None else address.get("address", "")


def network_digest(network_xml: str) -> str | None:
    """What `network.build_digest` said when the network was built; None for one that is not ours."""
    mark = _parse(network_xml).find(f"metadata/{{{KILONOVA}}}network")
    return None if mark is None else mark.get("digest")


def cpu_info(capabilities_xml: str) -> dict[str, Any]:
    """The host's CPU as Nova shows it: arch, model, vendor, topology, features."""
    root = _parse(capabilities_xml)
    topology = root.find("host/cpu/topology")
    counts = {} if topology is None else {name: int(topology.get(name, "1")) for name in _TOPOLOGY}
    return {
        "arch": root.findtext("host/cpu/arch", ""),
        "model": root.findtext("host/cpu/model", ""),
        "vendor": root.findtext("host/cpu/vendor", ""),
        "topology": {"cells": len(root.findall("host/topology/cells/cell")) or 1, **counts},
        "features": sorted(feature.get("name", "") for feature in root.findall("host/cpu/feature")),
    }


_TOPOLOGY = ("sockets", "cores", "threads")


def _parse(text: str) -> etree._Element:
    return etree.fromstring(text, _PARSER)
