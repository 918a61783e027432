"""Unicast VXLAN between the bridges of one network on several hosts: one device a network, beside libvirt's bridge.

`kv-<id>` is a port of the bridge `kn-<id>`. Broadcasts go to the addresses of the other hosts (the flood list: entries
for the MAC of zeros); where a guest's MAC is, the device learns from what arrives. Every host has the network's gateway
address and answers DHCP for its own ports, so neither may cross: `ebtables` keeps each host's own stack off the tunnel.

Callers hold the network's lock (`interfaces.py`). No database, no libvirt: `ip`, `bridge` and `ebtables` are run.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hypervisor.errors import NetworkFailed
from hypervisor.holdings import TunnelFound
from hypervisor.spec import NetworkSpec, reach_each_other

log = logging.getLogger(__name__)

_PORT = "4789"  # IANA's for VXLAN
_EVERYBODY = "00:00:00:00:00:00"
_SECONDS = 20.0
_ENVIRONMENT = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL": "C"}


class Tunnels:
    """The tunnels of the host at `address`. Every method may raise NetworkFailed."""

    def __init__(self, address: str) -> None:
        self._address = address

    def ensure(self, spec: NetworkSpec, addresses: Iterable[str]) -> None:
        """After it the network's bridge reaches the hosts at `addresses`, and no other; its own is passed over. With no
        other host, or where this host has no address that others can reach, there is no tunnel."""
        others = {address for address in addresses if address != self._address}
        peers = {address for address in others if reach_each_other(address, self._address)}
        if others != peers:
            unreached = ", ".join(sorted(others - peers))
            log.warning("network %s does not reach %s from %s: see HOST_IP", spec.bridge, unreached, self._address)
        if not peers or not spec.vni:
            self.remove(spec)
            return
        name = tunnel_name(spec)
        if not self._is_right(spec):
            _run(["ip", "link", "delete", name], may_fail=True)
            local = ["local", self._address, "dstport", _PORT]
            _run(["ip", "link", "add", name, "type", "vxlan", "id", str(spec.vni), *local])
        _keep_own_stack_off(spec)  # before the device is a port of the bridge: no frame passes unfiltered
        _run(["ip", "link", "set", name, "mtu", str(spec.mtu), "master", spec.bridge, "up"])
        self._flood_to(name, peers)

    def remove(self, spec: NetworkSpec) -> None:
        """After it there is no tunnel of the network, and no rule for one."""
        name = tunnel_name(spec)
        if not _exists(name):  # as on every host that is alone: nothing is run there
            return
        _run(["ip", "link", "set", name, "down"], may_fail=True)
        for chain, rule in _rules(name):
            _run(["ebtables", "-D", chain, *rule], may_fail=True)
        for command in ("-F", "-X"):
            _run(["ebtables", command, name], may_fail=True)
        # Last, for while the device is there an interrupted removal is taken up again.
        _run(["ip", "link", "delete", name], may_fail=True)
        if _exists(name):
            raise NetworkFailed(f"network {spec.name}: the tunnel {name} cannot be removed")
        log.info("tunnel %s removed", name)

    def _is_right(self, spec: NetworkSpec) -> bool:
        """The device is there, and what cannot be changed on it is as it should be."""
        found = (_device(tunnel_name(spec)) or {}).get("linkinfo", {})
        data = found.get("info_data", {})
        mine = {data.get("local"), data.get("local6")}
        is_ours = self._address in mine and str(data.get("port")) == _PORT
        return found.get("info_kind") == "vxlan" and data.get("id") == spec.vni and is_ours

    def _flood_to(self, name: str, peers: set[str]) -> None:
        shown = _run(["bridge", "-json", "fdb", "show", "dev", name])
        known = {entry["dst"] for entry in json.loads(shown or "[]") if entry.get("mac") == _EVERYBODY}
        for address in sorted(peers - known):
            _run(["bridge", "fdb", "append", _EVERYBODY, "dev", name, "dst", address])
        for address in sorted(known - peers):
            _run(["bridge", "fdb", "delete", _EVERYBODY, "dev", name, "dst", address])
        if known != peers:
            log.info("tunnel %s reaches %s", name, ", ".join(sorted(peers)))


def tunnel_name(spec: NetworkSpec) -> str:
    """The network's tunnel device: `kv-` and what its bridge has after `kn-`. The same name has its chain of rules."""
    return f"kv-{spec.bridge.removeprefix('kn-')}"[:15]


# --- looking ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TunnelsSeen:
    """The tunnels of this machine at one moment, and the rules of each chain; no rules at all: they cannot be read."""

    devices: dict[str, dict[str, Any]]
    peers: dict[str, set[str]]
    rules: dict[str, set[str]]

    @classmethod
    def look(cls) -> TunnelsSeen:
        """Three commands however many there are, and none where there is none. Errors: NetworkFailed."""
        if not any(name.startswith("kv-") for _, name in socket.if_nameindex()):
            return cls({}, {}, {})
        shown = json.loads(_run(["ip", "-details", "-json", "link", "show", "type", "vxlan"]) or "[]")
        peers: dict[str, set[str]] = {}
        for entry in json.loads(_run(["bridge", "-json", "fdb", "show"]) or "[]"):
            if entry.get("mac") == _EVERYBODY and "dst" in entry:
                peers.setdefault(entry["ifname"], set()).add(entry["dst"])
        devices = {device["ifname"]: device for device in shown if device.get("ifname", "").startswith("kv-")}
        return cls(devices, peers, _rules_by_chain(_run(["ebtables", "-L"], may_fail=True)))

    def tunnel_of(self, spec: NetworkSpec) -> TunnelFound | None:
        """The network's tunnel; None when there is none. Of `spec` the bridge, gateway and DHCP count."""
        name = tunnel_name(spec)
        device = self.devices.get(name)
        if device is None:
            return None
        data = device.get("linkinfo", {}).get("info_data", {})
        wanted = [*_rules(name), *((name, rule) for rule in _rules_of_guests(spec))]
        return TunnelFound(
            vni=int(data.get("id", 0)),
            local=str(data.get("local") or data.get("local6") or ""),
            peers=tuple(sorted(self.peers.get(name, ()))),
            is_attached=device.get("master") == spec.bridge and "UP" in device.get("flags", ()),
            is_filtered=not self.rules or all(" ".join(rule) in self.rules.get(chain, ()) for chain, rule in wanted),
        )


def _rules_by_chain(listed: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    chain = ""
    for line in listed.splitlines():
        if line.startswith("Bridge chain: "):
            chain = line.removeprefix("Bridge chain: ").partition(",")[0]
            found[chain] = set()
        elif line and chain:
            found[chain].add(line.strip())
    return found


# --- filtering --------------------------------------------------------------------------------------------------------


def _rules(name: str) -> list[tuple[str, list[str]]]:
    """(chain, rule): what the host itself says and hears stays here; what guests say passes the network's own chain."""
    return [
        ("INPUT", ["-i", name, "-j", "DROP"]),
        ("OUTPUT", ["-o", name, "-j", "DROP"]),
        ("FORWARD", ["-o", name, "-j", name]),
    ]


def _rules_of_guests(spec: NetworkSpec) -> list[list[str]]:
    """The rules of the network's own chain."""
    rules = []
    if spec.gateway_ip:
        rules.append(["-p", "ARP", "--arp-ip-dst", spec.gateway_ip, "-j", "DROP"])
    if spec.dhcp:
        rules.append(["-p", "IPv4", "--ip-proto", "udp", "--ip-dport", "67:68", "-j", "DROP"])
    return rules


def _keep_own_stack_off(spec: NetworkSpec) -> None:
    """After it nothing of this host's own crosses the tunnel, and of its guests no question for gateway or DHCP."""
    name = tunnel_name(spec)
    lines = ["*filter", f":{name} RETURN", *(f"-A {name} {' '.join(rule)}" for rule in _rules_of_guests(spec))]
    for chain, rule in _rules(name):
        if " ".join(rule) not in _run(["ebtables", "-L", chain]):
            lines.append(f"-A {chain} {' '.join(rule)}")
    _run(["ebtables-restore", "--noflush"], stdin="\n".join([*lines, "COMMIT", ""]))


# --- commands ---------------------------------------------------------------------------------------------------------


def _exists(name: str) -> bool:
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


def _device(name: str) -> dict[str, Any] | None:
    """The device as `ip` shows it; None when there is none."""
    shown = _run(["ip", "-details", "-json", "link", "show", "dev", name], may_fail=True)
    return json.loads(shown)[0] if shown.strip() else None


def _run(command: list[str], *, stdin: str = "", may_fail: bool = False) -> str:
    """What the command printed; "" when it failed and may."""
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, timeout=_SECONDS, env=_ENVIRONMENT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NetworkFailed(f"{' '.join(command)}: {error}. Are iproute2 and iptables installed?") from error
    if done.returncode == 0:
        return done.stdout
    if may_fail:
        return ""
    raise NetworkFailed(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[:500]}")
