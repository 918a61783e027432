"""The definition that a guest travels under: what it is at its source, marked as the migration's."""

from __future__ import annotations

from lxml import etree

from hypervisor.libvirt.xml.element import KILONOVA, render
from hypervisor.spec import Maker

_PARSER = etree.XMLParser(resolve_entities=False, no_network=True)


def marked(domain_xml: str, maker: Maker) -> str:
    """The same definition, made by `maker`. Nothing else may differ: the guest would see another machine."""
    root = etree.fromstring(domain_xml, _PARSER)
    mark = root.find(f"metadata/{{{KILONOVA}}}guest")
    if mark is None:
        raise ValueError("the domain is not of this cloud")
    mark.set("action", maker.action_id)
    mark.set("digest", maker.digest)
    return render(root)


def cpu_of(domain_xml: str) -> str:
    """The guest's <cpu> as it runs; "" for an emulated guest, which every host can emulate."""
    root = etree.fromstring(domain_xml, _PARSER)
    cpu = root.find("cpu")
    return "" if cpu is None or root.get("type") != "kvm" else render(cpu)
