"""<domain>: a guest's table of contents. Each line is an element; its module says what is in it and why."""

from __future__ import annotations

from lxml import etree

from hypervisor.libvirt.xml import console, disk, interface, machine
from hypervisor.libvirt.xml.element import E, printable, render
from hypervisor.libvirt.xml.metadata import metadata
from hypervisor.libvirt.xml.traits import GuestPaths, HostTraits
from hypervisor.spec import GuestSpec, Maker


def domain(guest: GuestSpec, maker: Maker, paths: GuestPaths, host: HostTraits) -> str:
    """The domain's whole definition: the same from the same, and nothing that libvirt would not keep."""
    return render(
        E.domain(
            E.name(guest.name),
            E.uuid(guest.instance_id),
            E.title(printable(guest.display_name) or guest.name),
            metadata(guest, maker),
            machine.memory(guest),
            machine.vcpu(guest),
            machine.system_information(guest),
            machine.operating_system(),
            machine.features(host),
            machine.cpu(host),
            machine.clock(),
            *machine.reactions(),
            E.devices(*_devices(guest, paths, host)),
            type=host.virt_type,
        )
    )


def _devices(guest: GuestSpec, paths: GuestPaths, host: HostTraits) -> list[etree._Element]:
    return [
        *disk.system_disks(paths, guest.instance_id, host),
        *([disk.config_drive(paths.config_drive)] if paths.config_drive else []),
        *(interface.interface(nic, host) for nic in guest.nics),
        console.serial(paths.console_log),
        console.console(),
        console.guest_agent(),
        *console.screen(),
        E.memballoon(E.stats(period="10"), model="virtio"),
        E.rng(E.backend("/dev/urandom", model="random"), model="virtio"),
    ]
