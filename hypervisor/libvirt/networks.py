"""libvirt's networks of this host: made when the first port comes, DHCP entries kept live, gone with the last port.

Callers hold the network's lock (`interfaces.py`): libvirt itself would interleave two read-then-update sequences.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import libvirt

from hypervisor.errors import NetworkFailed
from hypervisor.libvirt.connection import Connection
from hypervisor.libvirt.dhcp_release import send_release
from hypervisor.libvirt.failures import is_absent, is_out_of_state, understood
from hypervisor.libvirt.xml.network import build_digest, dhcp_entry, network
from hypervisor.libvirt.xml.reading import dhcp_entries, gateway_of, network_digest
from hypervisor.spec import NetworkSpec

log = logging.getLogger(__name__)

Entry = tuple[str, str]  # (MAC in lower case, address)
Lease = dict[str, Any]  # as libvirt gives it: iface expirytime type mac ipaddr prefix hostname clientid iaid

_ADD, _DELETE = libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE
_LIVE, _CONFIG = libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE, libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG
_RELEASE_SECONDS = 5.0  # dnsmasq tells libvirt by a script, one change after the other
_RELEASE_POLL = 0.05


class Networks:
    """The networks of one host. Every method may raise HypervisorUnreachable."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def ensure(self, spec: NetworkSpec, wanted: Entry, all_entries: list[Entry]) -> None:
        """After it the network runs as `spec` says, and its DHCP has the entry `wanted` and no other for that MAC or
        address. A definition that was lost is made anew with `all_entries`. Errors: NetworkFailed."""
        if spec.dhcp and not spec.gateway_ip:
            raise NetworkFailed(f"network {spec.name}: DHCP needs a gateway address, for the server to be at")
        with understood(f"network {spec.name} ({spec.bridge})", NetworkFailed):
            found = self._find(spec)
            if found is None or self._is_outdated(found, spec):
                found = self._define(spec, all_entries, found)
            if not found.isActive():
                self._create(found)
            if spec.dhcp:
                self._set_entry(found, wanted)
                for lease in self._leases(found, ip=wanted[1]):
                    if lease["mac"].lower() != wanted[0] and not self._release(found, spec, lease):
                        raise NetworkFailed(f"network {spec.name}: {wanted[1]} is still leased to {lease['mac']}")

    def is_running(self, spec: NetworkSpec) -> bool:
        """Whether the network's bridge is there. Errors: NetworkFailed."""
        with understood(f"network {spec.name} ({spec.bridge})", NetworkFailed):
            found = self._find(spec)
            return found is not None and bool(found.isActive())

    def forget(self, spec: NetworkSpec, entry: Entry) -> None:
        """After it DHCP has neither an entry nor a lease for that MAC. Errors: NetworkFailed."""
        with understood(f"network {spec.name} ({spec.bridge})", NetworkFailed):
            found = self._find(spec)
            if found is None:
                return
            # Before the entry goes: without any entry libvirt's dnsmasq serves no DHCP, and hears no release.
            self._release_all(found, spec, entry)
            self._drop(found, lambda known: known[0] == entry[0])
            self._release_all(found, spec, entry)

    def remove(self, spec: NetworkSpec) -> bool:
        """After it the network, with its DHCP entries and leases, neither runs nor is defined. One that a guest is on
        stays as it is: False. Errors: NetworkFailed."""
        with understood(f"network {spec.name} ({spec.bridge})", NetworkFailed):
            found = self._find(spec)
            if found is None:
                return True
            if found.isActive():
                if found.listAllPorts():
                    log.warning("network %s has no port of ours and a guest on it: it stays", spec.bridge)
                    return False
                _unless_out_of_state(found.destroy)
            _unless_out_of_state(found.undefine)
            log.info("network %s removed", spec.bridge)
            return True

    def _find(self, spec: NetworkSpec) -> libvirt.virNetwork | None:
        try:
            return self._connection.get().networkLookupByUUIDString(spec.id)
        except libvirt.libvirtError as error:
            if is_absent(error):
                return None
            raise

    def _is_outdated(self, found: libvirt.virNetwork, spec: NetworkSpec) -> bool:
        return network_digest(found.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE)) != build_digest(spec)

    def _define(self, spec: NetworkSpec, entries: list[Entry], found: libvirt.virNetwork | None) -> libvirt.virNetwork:
        if found is not None and found.isActive():
            if found.listAllPorts():
                log.warning("network %s changed; guests are on it, so it changes when it starts next", spec.bridge)
            else:
                _unless_out_of_state(found.destroy)
        xml = network(spec, entries)
        log.debug("defining network %s", xml)
        defined = self._connection.get().networkDefineXML(xml)
        log.info("network %s defined: %s %s", spec.bridge, spec.mode, spec.cidr)
        return defined

    def _create(self, found: libvirt.virNetwork) -> None:
        try:
            found.create()
        except libvirt.libvirtError as error:
            if not (is_out_of_state(error) and found.isActive()):
                raise

    def _set_entry(self, found: libvirt.virNetwork, wanted: Entry) -> None:
        self._drop(found, lambda known: known != wanted and (known[0] == wanted[0] or known[1] == wanted[1]))
        flags = sum(scope for scope, entries in self._entries(found).items() if wanted not in entries)
        if flags:
            self._update(found, _ADD, wanted, flags)

    def _drop(self, found: libvirt.virNetwork, doomed: Callable[[Entry], bool]) -> None:
        scopes = self._entries(found)
        for entry in {entry for entries in scopes.values() for entry in entries if doomed(entry)}:
            self._update(found, _DELETE, entry, sum(scope for scope, known in scopes.items() if entry in known))

    def _entries(self, found: libvirt.virNetwork) -> dict[int, list[Entry]]:
        """The DHCP entries by the flag of the definition that they are in: the running one, the kept one."""
        scopes = {_CONFIG: dhcp_entries(found.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE))}
        if found.isActive():
            scopes[_LIVE] = dhcp_entries(found.XMLDesc())
        return scopes

    def _update(self, found: libvirt.virNetwork, command: int, entry: Entry, flags: int) -> None:
        # The section's parent index -1 is "the only <ip> with <dhcp>".
        found.update(command, libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST, -1, dhcp_entry(*entry), flags)

    def _leases(self, found: libvirt.virNetwork, mac: str | None = None, ip: str | None = None) -> list[Lease]:
        if not found.isActive():
            return []
        return [lease for lease in found.DHCPLeases(mac) if ip is None or lease["ipaddr"] == ip]

    def _release_all(self, found: libvirt.virNetwork, spec: NetworkSpec, entry: Entry) -> None:
        for lease in self._leases(found, mac=entry[0]):
            if not self._release(found, spec, lease):
                log.warning("network %s keeps the lease of %s until it expires", spec.bridge, entry[0])

    def _release(self, found: libvirt.virNetwork, spec: NetworkSpec, lease: Lease) -> bool:
        """Gives the lease back to dnsmasq; says whether it is gone."""
        deadline, pause = time.monotonic() + _RELEASE_SECONDS, threading.Event()
        # As libvirt knows it: a spec made from a record of a port (`PortRecords.as_nic`) does not.
        server = gateway_of(found.XMLDesc())
        while any(known["ipaddr"] == lease["ipaddr"] for known in self._leases(found, mac=lease["mac"])):
            if time.monotonic() >= deadline:
                return False
            try:
                send_release(spec.bridge, server, lease["mac"], lease["ipaddr"], lease["clientid"])
            except OSError as error:
                log.warning("no DHCP release to bridge %s: %s", spec.bridge, error)
                return False
            pause.wait(_RELEASE_POLL)
        return True


def _unless_out_of_state(act: Callable[[], object]) -> None:
    """Calls `act`; that the network is in the state it leads to already, or gone, is no error."""
    try:
        act()
    except libvirt.libvirtError as error:
        if not (is_out_of_state(error) or is_absent(error)):
            raise
