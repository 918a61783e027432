"""The facets of a simulated host, put together from its settings."""

from __future__ import annotations

import os

from hypervisor.config import HostConfig
from hypervisor.console_log import LogConsole
from hypervisor.image_cache import ImageCache
from hypervisor.instance_files import InstanceFiles
from hypervisor.port_records import PortRecords
from hypervisor.simulated.disks import SimulatedDisks
from hypervisor.simulated.events import SimulatedEvents
from hypervisor.simulated.faults import Faults
from hypervisor.simulated.images import NotedImages, SimulatedImages
from hypervisor.simulated.interfaces import SimulatedInterfaces
from hypervisor.simulated.inventory import SimulatedInventory
from hypervisor.simulated.lifecycle import SimulatedLifecycle
from hypervisor.simulated.migration import SimulatedMigration


class SimulatedDriver:
    """See `hypervisor.driver.Driver`. A process may have many, one for each simulated host."""

    name = "simulated"

    def __init__(self, config: HostConfig, faults: Faults | None = None) -> None:
        root = config.state_dir / "simulated"
        self.faults = faults or Faults()
        self.faults.watch(root / "faults.json")
        files = InstanceFiles(config.instances_dir, is_durable=False)
        ports = PortRecords(root / "networks", is_durable=False)
        fetches = os.environ.get("SIMULATED_FETCH", "0") == "1"
        cache = ImageCache(config.base_dir, config.image_ca_file, files.bases_in_use)
        self.images = SimulatedImages(cache if fetches else NotedImages(config.base_dir), self.faults)
        self.disks = disks = SimulatedDisks(files, self.faults)
        self.interfaces = interfaces = SimulatedInterfaces(ports, self.faults)
        self.events = SimulatedEvents()
        self.lifecycle = SimulatedLifecycle(root / "domains", files, ports, self.events, self.faults)
        self.console = LogConsole(files)
        self.inventory = inventory = SimulatedInventory(config, files, self.lifecycle, self.faults)
        self.migration = SimulatedMigration(config, files, self.lifecycle, disks, interfaces, inventory, self.faults)

    def close(self) -> None:
        """Hands out no more events."""
        self.events.close()
