"""<disk>: the system disk and the config drive."""

from __future__ import annotations

from pathlib import Path

from lxml import etree

from hypervisor.libvirt.xml.element import E
from hypervisor.libvirt.xml.traits import HostTraits

_SERIAL_LENGTH = 20  # of a virtio disk, as the guest sees it


def system_disk(path: Path, instance_id: str, host: HostTraits) -> etree._Element:
    """vda: the qcow2 overlay. Its serial is the instance's id as far as it fits; discards free the host's space."""
    return E.disk(
        E.driver(name="qemu", type="qcow2", cache=host.disk_cache, discard="unmap"),
        E.source(file=str(path)),
        E.target(dev="vda", bus="virtio"),
        E.serial(instance_id[:_SERIAL_LENGTH]),
        type="file",
        device="disk",
    )


def config_drive(path: Path) -> etree._Element:
    """hda: the config drive as a read-only IDE cdrom, where every image looks for it."""
    return E.disk(
        E.driver(name="qemu", type="raw"),
        E.source(file=str(path)),
        E.target(dev="hda", bus="ide"),
        E.readonly(),
        type="file",
        device="cdrom",
    )
