"""The facets of a libvirt host, put together from its settings."""

from __future__ import annotations

import logging

import libvirt

from hypervisor.config import HostConfig
from hypervisor.console_log import LogConsole
from hypervisor.image_cache import ImageCache
from hypervisor.instance_files import InstanceFiles, make_directory
from hypervisor.kept_disks import KeptDisks
from hypervisor.libvirt import disks
from hypervisor.libvirt.agent import LibvirtGuestAgent
from hypervisor.libvirt.connection import Connection
from hypervisor.libvirt.events import LibvirtEvents
from hypervisor.libvirt.failures import is_absent
from hypervisor.libvirt.holdings import LibvirtHoldings
from hypervisor.libvirt.interfaces import LibvirtInterfaces
from hypervisor.libvirt.inventory import LibvirtInventory
from hypervisor.libvirt.lifecycle import LibvirtLifecycle
from hypervisor.libvirt.migration import LibvirtMigration
from hypervisor.libvirt.moves import LibvirtMoves
from hypervisor.libvirt.networks import Networks
from hypervisor.libvirt.peers import Peers
from hypervisor.libvirt.power import LibvirtPower
from hypervisor.libvirt.rescue_disks import QcowRescueDisks
from hypervisor.libvirt.snapshots import LibvirtSnapshots
from hypervisor.libvirt.tunnels import Tunnels
from hypervisor.libvirt.virt_type import choose
from hypervisor.libvirt.xml.interface import ANTI_SPOOFING
from hypervisor.libvirt.xml.traits import HostTraits
from hypervisor.port_records import PortRecords

log = logging.getLogger(__name__)


class LibvirtDriver:
    """See `hypervisor.driver.Driver`. One per process. Connects at the first call that needs libvirtd, not before."""

    name = "libvirt"

    def __init__(self, config: HostConfig) -> None:
        for directory in (config.state_dir, config.instances_dir, config.base_dir):
            make_directory(directory)
            if config.libvirt_uri.endswith("/system") and (closed := disks.closed_directory(directory)):
                log.warning("%s: QEMU's user cannot pass through %s, guests may not start", directory, closed)
        files = InstanceFiles(config.instances_dir)
        self._config = config
        self._virt_type = choose(config.virt_type)
        self._disk_cache = "none" if disks.can_do_direct_io(config.instances_dir) else "writeback"
        self._connection = Connection(config.libvirt_uri)
        self.images = ImageCache(config.base_dir, config.image_ca_file, files.bases_in_use)
        self.disks = qcow = disks.QcowDisks(files)
        networks, tunnels = Networks(self._connection), Tunnels(config.host_ip)
        self.interfaces = ports = LibvirtInterfaces(networks, tunnels, config.state_dir / "networks")
        self.kept_disks = KeptDisks(files)
        self.rescue_disks = QcowRescueDisks(files)
        self.snapshots = LibvirtSnapshots(self._connection, files, config.image_ca_file)
        self.lifecycle = LibvirtLifecycle(self._connection, files, self._traits)
        self.agent = LibvirtGuestAgent(self._connection)
        self.power = LibvirtPower(self._connection)
        self.moves = LibvirtMoves(files, self.images, Peers(config.migration_uri))
        self.console = LogConsole(files)
        self.inventory = offer = LibvirtInventory(self._connection, config, files, self._virt_type)
        self.migration = LibvirtMigration(self._connection, config, files, self.lifecycle, qcow, ports, offer)
        self.events = LibvirtEvents(self._connection, self.lifecycle)
        records = PortRecords(config.state_dir / "networks")
        self.holdings = LibvirtHoldings(self._connection, files, config.base_dir, records, ports)

    def close(self) -> None:
        """Ends the event thread and the connection."""
        self._connection.close()
        self.events.close()

    def _traits(self) -> HostTraits:
        return HostTraits(
            virt_type=self._virt_type,
            disk_cache=self._disk_cache,
            has_anti_spoofing=self._config.anti_spoofing and self._has_anti_spoofing(),
        )

    def _has_anti_spoofing(self) -> bool:
        """Asked for each guest: the filters are packages' files, and libvirtd may have been restarted with them."""
        try:
            self._connection.get().nwfilterLookupByName(ANTI_SPOOFING)
        except libvirt.libvirtError as error:
            if not (is_absent(error) or error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT):
                raise
            log.warning("libvirt has no filter %s: guests can send from any address", ANTI_SPOOFING)
            return False
        return True
