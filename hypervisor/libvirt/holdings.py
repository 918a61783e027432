"""Facet `Holdings` of a libvirt host: domains and networks as libvirt has them, and the files that every host has.

A machine's libvirt may serve others too: a domain is ours when it carries our mark and its disks are in our directory,
and of networks only those are looked at that have a port of ours. Of the others it is said that they are there.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import libvirt

from hypervisor.errors import NetworkFailed
from hypervisor.holding_files import HoldingFiles
from hypervisor.holdings import DomainFound, EntryFound, LeftoverFound, NetworkFound, PortFound
from hypervisor.instance_files import InstanceFiles
from hypervisor.libvirt.connection import Connection
from hypervisor.libvirt.failures import is_absent, understood
from hypervisor.libvirt.interfaces import LibvirtInterfaces
from hypervisor.libvirt.lifecycle import mark_of
from hypervisor.libvirt.observed import observed
from hypervisor.libvirt.tunnels import TunnelsSeen
from hypervisor.libvirt.xml.reading import dhcp_entries, disks_of, gateway_of, network_digest
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
        ports = self.ports()  # before their tunnels: those of a port that goes meanwhile are its instance's
        seen = _tunnels()
        with understood("looking at networks"):
            return tuple(self._network(network_id, ports_there, seen) for network_id, ports_there in ports.items())

    def _network(self, network_id: str, ports: tuple[PortFound, ...], seen: TunnelsSeen | None) -> NetworkFound:
        try:
            found = self._connection.get().networkLookupByUUIDString(network_id)
            is_running, xml = bool(found.isActive()), found.XMLDesc()
            leased = _leases(found) if is_running else set()
        except libvirt.libvirtError as error:
            if not is_absent(error):
                raise
            return NetworkFound(id=network_id, is_running=False, ports=ports)
        entries = set(dhcp_entries(xml))
        # A port is recorded before its entry is made and until that is gone, so one of two looks sees it.
        known = {(port.mac, port.ip) for port in (*ports, *self.ports().get(network_id, ()))}
        has_dhcp = "<dhcp>" in xml
        macs = {mac for mac, _ in known | entries}
        spec = self._records.as_nic(network_id, mac="", ip="").network
        spec = replace(spec, gateway_ip=gateway_of(xml) or None, dhcp=has_dhcp)
        return NetworkFound(
            id=network_id,
            is_running=is_running,
            ports=tuple(
                PortFound(**{**vars(port), "is_served": not has_dhcp or (port.mac, port.ip) in entries})
                for port in ports
            ),
            strays=tuple(EntryFound(network_id=network_id, mac=mac, ip=ip) for mac, ip in sorted(entries - known)),
            leases=tuple(
                EntryFound(network_id=network_id, mac=mac, ip=ip) for mac, ip in sorted(leased) if mac not in macs
            ),
            tunnel=seen.tunnel_of(spec) if seen else None,
            is_tunnel_known=seen is not None,
        )

    def leftovers(self) -> tuple[LeftoverFound, ...]:
        """See `hypervisor.driver.Holdings.leftovers`."""
        before = self.ports()
        with understood("listing networks"):
            listed = self._connection.get().listAllNetworks()
            bridges = [bridge for found in listed if (bridge := _bridge(found)) is not None]
        seen = _tunnels()
        tunnels = [LeftoverFound(name=name) for name in sorted(seen.devices)] if seen else []
        # A port is recorded before its network is made and until that is gone, so one of two looks sees it.
        networks = (self._records.as_nic(id, mac="", ip="").network for id in {*before, *self.ports()})
        in_use = {network.bridge.removeprefix("kn-") for network in networks}
        return tuple(found for found in (*bridges, *tunnels) if found.name[3:] not in in_use)

    def forget_entry(self, network_id: str, mac: str, ip: str) -> None:
        """See `hypervisor.driver.Holdings.forget_entry`."""
        self._interfaces.forget_stray(network_id, mac, ip)

    def forget_network(self, network_id: str) -> bool:
        """See `hypervisor.driver.Holdings.forget_network`."""
        return self._interfaces.forget_network(network_id)


def _tunnels() -> TunnelsSeen | None:
    """None when they cannot be looked at: nothing is concluded then."""
    try:
        return TunnelsSeen.look()
    except (NetworkFailed, ValueError) as error:
        log.warning("tunnels cannot be looked at: %s", error)
        return None


def _leases(network: libvirt.virNetwork) -> set[tuple[str, str]]:
    """(MAC, address) of each lease; none when they cannot be read."""
    try:
        return {(lease["mac"].lower(), lease["ipaddr"]) for lease in network.DHCPLeases()}
    except libvirt.libvirtError as error:
        log.warning("leases of network %s cannot be read: %s", network.name(), error)
        return set()


def _bridge(network: libvirt.virNetwork) -> LeftoverFound | None:
    """A network that carries the cloud's mark; None for any other, and for one that goes meanwhile."""
    try:
        xml = network.XMLDesc()
        if network_digest(xml) is None or not network.name().startswith("kn-"):
            return None
        macs = tuple(sorted(mac for mac, _ in dhcp_entries(xml)))
        is_used = bool(network.isActive() and network.listAllPorts())
    except libvirt.libvirtError as error:
        if is_absent(error):
            return None
        raise
    return LeftoverFound(name=network.name(), macs=macs, is_used=is_used)
