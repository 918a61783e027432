"""Facet `Holdings` of a libvirt host: domains and networks as libvirt has them, and the files that every host has.

A machine's libvirt may serve others too: a domain is ours when it carries our mark and its disks are in our directory,
and of networks only those are looked at that have a port of ours.
"""

from __future__ import annotations

import logging
from pathlib import Path

import libvirt

from hypervisor.holding_files import HoldingFiles
from hypervisor.holdings import DomainFound, EntryFound, NetworkFound, PortFound
from hypervisor.instance_files import InstanceFiles
from hypervisor.libvirt.connection import Connection
from hypervisor.libvirt.failures import is_absent, understood
from hypervisor.libvirt.interfaces import LibvirtInterfaces
from hypervisor.libvirt.lifecycle import mark_of
from hypervisor.libvirt.observed import observed
from hypervisor.libvirt.xml.reading import dhcp_entries, disks_of
from hypervisor.port_records import PortRecords

log = logging.getLogger(__name__)


class LibvirtHoldings(HoldingFiles):
    """See `hypervisor.driver.Holdings`."""

    def __init__(
        self,
        connection: Connection,
        files: InstanceFiles,
        base_dir: Path,
        records: PortRecords,
        interfaces: LibvirtInterfaces,
    ) -> None:
        super().__init__(files, base_dir, records)
        self._connection = connection
        self._interfaces = interfaces

    def domains(self) -> tuple[DomainFound, ...]:
        """See `hypervisor.driver.Holdings.domains`."""
        with understood("listing domains"):
            found = (self._domain(domain) for domain in self._connection.get().listAllDomains())
            return tuple(domain for domain in found if domain is not None)

    def _domain(self, domain: libvirt.virDomain) -> DomainFound | None:
        try:
            mark = mark_of(domain)
            sources = [disk.source for disk in disks_of(domain.XMLDesc()).values() if disk.source]
            is_here = all(Path(source).is_relative_to(self._files.root) for source in sources)
            if not is_here or (mark is None and not domain.name().startswith("instance-")):
                return None
            power_state, _ = observed(*domain.state())
        except libvirt.libvirtError as error:
            if is_absent(error):
                return None
            raise
        return DomainFound(
            instance_id=domain.UUIDString(),
            name=domain.name(),
            power_state=power_state,
            action_id=mark.maker.action_id if mark else "",
            is_ours=mark is not None,
        )

    def networks(self) -> tuple[NetworkFound, ...]:
        """See `hypervisor.driver.Holdings.networks`."""
        with understood("looking at networks"):
            return tuple(self._network(network_id, ports) for network_id, ports in self.ports().items())

    def _network(self, network_id: str, ports: tuple[PortFound, ...]) -> NetworkFound:
        try:
            found = self._connection.get().networkLookupByUUIDString(network_id)
            is_running, xml = bool(found.isActive()), found.XMLDesc()
        except libvirt.libvirtError as error:
            if not is_absent(error):
                raise
            return NetworkFound(id=network_id, is_running=False, ports=ports)
        entries = set(dhcp_entries(xml))
        # A port is recorded before its entry is made and until that is gone, so one of two looks sees it.
        known = {(port.mac, port.ip) for port in (*ports, *self.ports().get(network_id, ()))}
        has_dhcp = "<dhcp>" in xml
        return NetworkFound(
            id=network_id,
            is_running=is_running,
            ports=tuple(
                PortFound(**{**vars(port), "is_served": not has_dhcp or (port.mac, port.ip) in entries})
                for port in ports
            ),
            strays=tuple(EntryFound(network_id=network_id, mac=mac, ip=ip) for mac, ip in sorted(entries - known)),
        )

    def forget_entry(self, network_id: str, mac: str, ip: str) -> None:
        """See `hypervisor.driver.Holdings.forget_entry`."""
        self._interfaces.forget_stray(network_id, mac, ip)
