"""<disk>: the system disk, the rescue disk and the config drive."""

from __future__ import annotations

from pathlib import Path

from lxml import etree

from hypervisor.libvirt.xml.element import E
from hypervisor.libvirt.xml.traits import GuestPaths, HostTraits

_SERIAL_LENGTH = 20  # of a virtio disk, as the guest sees it


def system_disks(paths: GuestPaths, instance_id: str, host: HostTraits) -> list[etree._Element]:
    """vda: the instance's disk, with its id as far as it fits for a serial. A rescued guest has that as vdb, and boots
    from the rescue disk as vda."""
    if paths.rescue_disk is None:
        return [_overlay(paths.disk, "vda", instance_id, host)]
    return [
        _overlay(paths.rescue_disk, "vda", f"rescue-{instance_id}", host),
        _overlay(paths.disk, "vdb", instance_id, host),
    ]


def _overlay(path: Path, device: str, serial: str, host: HostTraits) -> etree._Element:
    """A qcow2 overlay. Discards free the host's space."""
    return E.disk(
        E.driver(name="qemu", type="qcow2", cache=host.disk_cache, discard="unmap"),
        E.source(file=str(path)),
        E.target(dev=device, bus="virtio"),
        E.serial(serial[:_SERIAL_LENGTH]),
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
