"""The network that joins a rig's hosts and its control plane: a bridge in a namespace of its own, a link to each.

The bridge is not in the machine's own namespace, because a firewall there would filter what hosts say to each other.
"""

from __future__ import annotations

import subprocess

from cloud.embedded.rig.plan import Rig, RigHost
from cloud.embedded.trouble import Trouble

BRIDGE = "br0"


def ensure(rig: Rig) -> None:
    """After it the fabric is there, and the control plane's address on this machine."""
    fabric, uplink = _fabric(rig.prefix), f"{rig.prefix}-up"
    if fabric not in namespaces():
        _ip("netns", "add", fabric)
    _ip("-n", fabric, "link", "set", "lo", "up")
    if not _has_link(BRIDGE, fabric):
        _ip("-n", fabric, "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0")
    _ip("-n", fabric, "link", "set", BRIDGE, "up")
    if not _has_link(uplink):
        _ip("link", "add", uplink, "type", "veth", "peer", "name", "uplink", "netns", fabric)
    _ip("-n", fabric, "link", "set", "uplink", "master", BRIDGE, "up")
    _ip("addr", "replace", f"{rig.address}/{rig.subnet.prefixlen}", "dev", uplink)
    _ip("link", "set", uplink, "up")


def plug(host: RigHost, prefix_length: int) -> None:
    """After it the host has a network namespace with its address, joined to the fabric."""
    if host.namespace in namespaces():
        unplug(host)
    fabric = _fabric(host.prefix)
    _ip("netns", "add", host.namespace)
    _ip("-n", host.namespace, "link", "add", "eth0", "type", "veth", "peer", "name", host.name, "netns", fabric)
    _ip("-n", fabric, "link", "set", host.name, "master", BRIDGE, "up")
    _ip("-n", host.namespace, "link", "set", "lo", "up")
    _ip("-n", host.namespace, "addr", "add", f"{host.address}/{prefix_length}", "dev", "eth0")
    _ip("-n", host.namespace, "link", "set", "eth0", "up")


def cut(host: RigHost) -> None:
    """Pulls the host's cable: from now on nothing that it says is heard, not even that its connections are closed."""
    if _has_link(host.name, _fabric(host.prefix)):
        _ip("-n", _fabric(host.prefix), "link", "del", host.name)


def unplug(host: RigHost) -> None:
    """After it the host's network namespace is gone, with its bridges, taps and tunnels."""
    cut(host)
    if host.namespace in namespaces():
        _ip("netns", "del", host.namespace)


def remove(rig: Rig) -> None:
    """After it nothing of the fabric is left."""
    if _has_link(f"{rig.prefix}-up"):
        _ip("link", "del", f"{rig.prefix}-up")
    if _fabric(rig.prefix) in namespaces():
        _ip("netns", "del", _fabric(rig.prefix))


def namespaces() -> set[str]:
    """The names of this machine's network namespaces."""
    return {line.split()[0] for line in _ip("netns", "list").splitlines() if line.strip()}


def _fabric(prefix: str) -> str:
    return f"{prefix}-fab"


def _has_link(name: str, namespace: str = "") -> bool:
    where = ["-n", namespace] if namespace else []
    found = subprocess.run(["ip", *where, "link", "show", "dev", name], capture_output=True, check=False)
    return found.returncode == 0


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Trouble(f"ip {' '.join(arguments)} failed", details=done.stdout + done.stderr)
    return done.stdout
