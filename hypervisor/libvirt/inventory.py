"""Facet `Inventory`: what this host offers, from libvirt and from the file system that holds the instances."""

from __future__ import annotations

import functools
import os
from typing import Any

from hypervisor.boot_id import this_boot
from hypervisor.config import HostConfig
from hypervisor.instance_files import InstanceFiles
from hypervisor.libvirt.connection import Connection
from hypervisor.libvirt.failures import understood
from hypervisor.libvirt.virt_type import KVM
from hypervisor.libvirt.xml.reading import cpu_info
from hypervisor.spec import HostInventory

_GIB = 1024**3


class LibvirtInventory:
    """See `hypervisor.driver.Inventory`. Errors: HypervisorUnreachable."""

    def __init__(self, connection: Connection, config: HostConfig, files: InstanceFiles, virt_type: str) -> None:
        self._connection = connection
        self._config = config
        self._files = files
        self._virt_type = virt_type

    def read(self) -> HostInventory:
        """What the host offers now."""
        with understood(f"reading what host {self._config.name} offers"):
            libvirtd = self._connection.get()
            architecture, _, cpus, *_ = libvirtd.getInfo()
            memory = libvirtd.getMemoryStats(-1)  # KiB, of all NUMA cells; getInfo misses memory that was plugged later
            available = memory.get("free", 0) + memory.get("buffers", 0) + memory.get("cached", 0)
            room = os.statvfs(self._files.root)
            return HostInventory(
                vcpus=cpus,
                memory_mib=memory.get("total", 0) // 1024,
                disk_gib=room.f_blocks * room.f_frsize // _GIB,
                memory_mib_used=max(memory.get("total", 0) - available, 0) // 1024,
                disk_gib_free=room.f_bavail * room.f_frsize // _GIB,
                storage_id=self._files.storage_id(),
                hypervisor_type="KVM" if self._virt_type == KVM else "QEMU",
                hypervisor_version=libvirtd.getVersion(),
                architecture=architecture,
                cpu_info=self._cpu_info,
                hostname=libvirtd.getHostname(),
                host_ip=self._config.host_ip,
                boot_id=this_boot(),
            )

    @functools.cached_property
    def _cpu_info(self) -> dict[str, Any]:
        """Asked once: the capabilities take libvirtd long, and a host's CPU stays."""
        return cpu_info(self._connection.get().getCapabilities())
