"""The facets of a simulated host, put together from its settings."""

from __future__ import annotations

import os

from hypervisor.config import HostConfig
from hypervisor.console_log import LogConsole
from hypervisor.image_cache import ImageCache
from hypervisor.instance_files import InstanceFiles
from hypervisor.port_records import PortRecords
from hypervisor.simulated.agent import SimulatedGuestAgent
from hypervisor.simulated.disk_changes import SimulatedKeptDisks, SimulatedRescueDisks
from hypervisor.simulated.disks import SimulatedDisks
from hypervisor.simulated.effects import Effects
from hypervisor.simulated.events import SimulatedEvents
from hypervisor.simulated.faults import Faults
from hypervisor.simulated.holdings import SimulatedHoldings
from hypervisor.simulated.images import NotedImages, SimulatedImages
from hypervisor.simulated.interfaces import SimulatedInterfaces
from hypervisor.simulated.inventory import SimulatedInventory
from hypervisor.simulated.lifecycle import SimulatedLifecycle
from hypervisor.simulated.migration import SimulatedMigration
from hypervisor.simulated.moves import SimulatedMoves
from hypervisor.simulated.networks import SimulatedNetworks
from hypervisor.simulated.power import SimulatedPower
from hypervisor.simulated.snapshots import SimulatedSnapshots


class SimulatedDriver:
    """See `hypervisor.driver.Driver`. A process may have many, one for each simulated host."""

    name = "simulated"

    def __init__(self, config: HostConfig, faults: Faults | None = None) -> None:
        root = config.state_dir / "simulated"
        self.faults = faults or Faults()
        self.faults.watch(root / "faults.json")
        files = InstanceFiles(config.instances_dir, is_durable=False)
        ports = PortRecords(root / "networks", is_durable=False)
        networks = SimulatedNetworks(root, ports, config.host_ip)
        fetches = os.environ.get("SIMULATED_FETCH", "0") == "1"
        cache = ImageCache(config.base_dir, config.image_ca_file, files.bases_in_use)
        self.images = SimulatedImages(cache if fetches else NotedImages(config.base_dir), self.faults)
        effects = Effects.ordered(root / "effects.log")
        self.disks = disks = SimulatedDisks(files, self.faults, effects)
        self.kept_disks = SimulatedKeptDisks(files, self.faults)
        self.rescue_disks = SimulatedRescueDisks(files, self.faults)
        self.snapshots = SimulatedSnapshots(files, config.image_ca_file, self.faults, uploads=fetches)
        self.interfaces = interfaces = SimulatedInterfaces(networks, self.faults)
        self.events = SimulatedEvents()
        self.lifecycle = SimulatedLifecycle(root / "domains", files, ports, self.events, self.faults, effects)
        self.agent = SimulatedGuestAgent(self.lifecycle, files, self.faults)
        self.power = SimulatedPower(self.lifecycle, root / "boot-id", self.faults)
        self.moves = SimulatedMoves(files, self.images, cache if fetches else None, config.base_dir, self.faults)
        self.console = LogConsole(files)
        self.inventory = inventory = SimulatedInventory(config, files, self.lifecycle, self.faults, self.power.boot_id)
        self.holdings = SimulatedHoldings(files, config.base_dir, networks, self.lifecycle, self.faults)
        self.migration = SimulatedMigration(config, files, self.lifecycle, disks, interfaces, inventory, self.faults)

    def close(self) -> None:
        """Hands out no more events."""
        self.events.close()
