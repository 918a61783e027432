"""The machine around the devices: memory, CPUs, firmware tables, machine type, features, clock, what events do."""

from __future__ import annotations

from lxml import etree

from hypervisor.libvirt.virt_type import KVM
from hypervisor.libvirt.xml.element import E
from hypervisor.libvirt.xml.traits import HostTraits
from hypervisor.spec import GuestSpec

_TRANSLATION_CACHE_MIB = "16"  # of QEMU's emulation; its default would cost 50 MiB more a guest


def memory(guest: GuestSpec) -> etree._Element:
    """The guest's memory; it never shrinks, so <currentMemory> stays away."""
    return E.memory(str(guest.memory_mib), unit="MiB")


def vcpu(guest: GuestSpec) -> etree._Element:
    """The number of virtual CPUs, all plugged."""
    return E.vcpu(str(guest.vcpus), placement="static")


def system_information(guest: GuestSpec) -> etree._Element:
    """SMBIOS: cloud-init takes "OpenStack Compute" for a cloud that it knows, and the UUID for the instance's id."""
    return E.sysinfo(
        E.system(
            E.entry("Kilonova", name="manufacturer"),
            E.entry("OpenStack Compute", name="product"),
            E.entry(guest.instance_id, name="serial"),
            E.entry(guest.instance_id, name="uuid"),
            E.entry("Virtual Machine", name="family"),
        ),
        type="smbios",
    )


def operating_system() -> etree._Element:
    """PC machine (real images expect its IDE cdrom), booting from its first disk."""
    return E.os(E.type("hvm", arch="x86_64", machine="pc"), E.boot(dev="hd"), E.smbios(mode="sysinfo"))


def features(host: HostTraits) -> etree._Element:
    """ACPI, without which a guest cannot be asked to shut down, and APIC."""
    children = [E.acpi(), E.apic()]
    if host.virt_type != KVM:
        children.append(E.tcg(E("tb-cache", _TRANSLATION_CACHE_MIB, unit="MiB")))
    return E.features(*children)


def cpu(host: HostTraits) -> etree._Element:
    """Under KVM what the host has, under emulation the model that QEMU emulates fastest."""
    if host.virt_type == KVM:
        return E.cpu(mode="host-model", check="partial")
    return E.cpu(E.model("qemu64", fallback="forbid"), mode="custom", match="exact", check="none")


def clock() -> etree._Element:
    """UTC; lost ticks are delayed or caught up, the HPET is off, as is usual for KVM guests."""
    return E.clock(
        E.timer(name="pit", tickpolicy="delay"),
        E.timer(name="rtc", tickpolicy="catchup"),
        E.timer(name="hpet", present="no"),
        offset="utc",
    )


def reactions() -> list[etree._Element]:
    """Power off and crash end the domain (the cloud sees it stopped), reboot keeps it."""
    return [E.on_poweroff("destroy"), E.on_reboot("restart"), E.on_crash("destroy")]
