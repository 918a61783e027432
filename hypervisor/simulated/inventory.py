"""Facet `Inventory`: as large as `SIMULATED_VCPUS`, `SIMULATED_MEMORY_MIB` and `SIMULATED_DISK_GIB` say."""

from __future__ import annotations

import os
from collections.abc import Callable

from hypervisor.config import HostConfig
from hypervisor.instance_files import InstanceFiles
from hypervisor.simulated.faults import Faults
from hypervisor.simulated.lifecycle import SimulatedLifecycle
from hypervisor.spec import HostInventory

_VERSION = 1_000_000  # 1.0.0, packed as libvirt packs it
_CPU = {
    "arch": "x86_64",
    "model": "simulated",
    "vendor": "Kilonova",
    "topology": {"cells": 1, "sockets": 1, "cores": 1, "threads": 1},
    "features": [],
}


class SimulatedInventory:
    """See `hypervisor.driver.Inventory`."""

    def __init__(
        self,
        config: HostConfig,
        files: InstanceFiles,
        lifecycle: SimulatedLifecycle,
        faults: Faults,
        boot_id: Callable[[], str],
    ) -> None:
        self._config = config
        self._files = files
        self._lifecycle = lifecycle
        self._faults = faults
        self._boot_id = boot_id
        self._vcpus = int(os.environ.get("SIMULATED_VCPUS", "64"))
        self._memory_mib = int(os.environ.get("SIMULATED_MEMORY_MIB", "262144"))
        self._disk_gib = int(os.environ.get("SIMULATED_DISK_GIB", "4096"))

    def read(self) -> HostInventory:
        """What the host offers now; its disks take no room."""
        with self._faults.around("inventory.read"):
            return HostInventory(
                vcpus=self._vcpus,
                memory_mib=self._memory_mib,
                disk_gib=self._disk_gib,
                memory_mib_used=sum(int(note["memory_mib"]) for _, note in self._lifecycle.domains()),
                disk_gib_free=self._disk_gib,
                storage_id=self._files.storage_id(),
                hypervisor_type="simulated",
                hypervisor_version=_VERSION,
                architecture="x86_64",
                cpu_info=_CPU,
                hostname=self._config.name,
                host_ip=self._config.host_ip,
                boot_id=self._boot_id(),
            )
