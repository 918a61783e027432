"""Namespaces, wires and sockets for tests of networks: a far host made by hand, and guests that are veths."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import select
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hypervisor.spec import NetworkSpec, NicSpec

_CLONE_NEWNET = 0x40000000
_PATIENCE = 10.0  # seconds for what is sent on this machine to arrive on it
_MTU = 1500


def run(*command: str) -> str:
    """What the command printed; it must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr or done.stdout}"
    return done.stdout


def socket_in(namespace: str, *kind: Any) -> socket.socket:
    """A socket in that network namespace, for use by anybody."""
    made: list[socket.socket] = []

    def make() -> None:  # in a thread of its own, for only the thread changes its namespace
        handle = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
        try:
            assert ctypes.CDLL(None, use_errno=True).setns(handle, _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        finally:
            os.close(handle)
        made.append(socket.socket(*kind))
        made[0].settimeout(_PATIENCE)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]


@dataclass
class Wires:
    """Namespaces that end with the test."""

    namespaces: list[str] = field(default_factory=list)

    def namespace(self) -> str:
        name = f"kn-test-{random.randrange(2**32):08x}"
        run("ip", "netns", "add", name)
        self.namespaces.append(name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        # Or a guest's own IPv6 tells the bridges where it is, before the test does.
        run("ip", "netns", "exec", name, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6")
        return name

    def veth(self, inside: str, name: str) -> str:
        """A wire: `name` in the namespace `inside`, and its other end, whose name it gives, on this machine."""
        outer = f"kt{random.randrange(2**32):08x}"
        run("ip", "link", "add", outer, "mtu", str(_MTU), "type", "veth", "peer", "name", name, "netns", inside)
        run("ip", "link", "set", outer, "up")
        run("ip", "-n", inside, "link", "set", name, "mtu", str(_MTU), "up")
        return outer

    def end(self) -> None:
        for name in self.namespaces:
            subprocess.run(["ip", "netns", "delete", name], check=False)


@contextlib.contextmanager
def wires() -> Iterator[Wires]:
    made = Wires()
    try:
        yield made
    finally:
        made.end()


@dataclass
class FarHost:
    """Another host of the cloud, made by hand without any filter: a bridge and a tunnel in a namespace."""

    wires: Wires
    namespace: str
    address: str
    near_address: str

    @classmethod
    def beside(cls, wires: Wires) -> FarHost:
        """One that this machine reaches over a wire of its own."""
        namespace = wires.namespace()
        outer = wires.veth(namespace, "eth0")
        stem = f"10.{random.randrange(64, 127)}.{random.randrange(255)}"
        run("ip", "address", "add", f"{stem}.1/24", "dev", outer)
        run("ip", "-n", namespace, "address", "add", f"{stem}.2/24", "dev", "eth0")
        return cls(wires, namespace, f"{stem}.2", f"{stem}.1")

    def join(self, network: NetworkSpec) -> None:
        """Builds its end of the network."""
        ip = ("ip", "-n", self.namespace, "link")
        run(*ip, "add", "bridge0", "type", "bridge")
        vxlan = ("type", "vxlan", "id", str(network.vni), "dstport", "4789", "local", self.address)
        run(*ip, "add", "tunnel0", *vxlan)
        run(*ip, "set", "tunnel0", "mtu", str(network.mtu), "master", "bridge0", "up")
        run(*ip, "set", "bridge0", "up")
        flood = ("fdb", "append", "00:00:00:00:00:00", "dev", "tunnel0", "dst", self.near_address)
        run("bridge", "-n", self.namespace, *flood)

    def sniffer(self) -> socket.socket:
        """Gives the frames that come out of the tunnel."""
        sniffer = socket_in(self.namespace, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        sniffer.bind(("tunnel0", 3))
        return sniffer


class Guest:
    """A guest of that port: a namespace on a wire to the network's bridge, here or on the far host."""

    def __init__(self, wires: Wires, nic: NicSpec, at: FarHost | None = None) -> None:
        self.nic = nic
        self.namespace = wires.namespace()
        outer = wires.veth(self.namespace, "eth0")
        if at is None:
            run("ip", "link", "set", outer, "master", nic.network.bridge)
        else:
            run("ip", "link", "set", outer, "netns", at.namespace)
            run("ip", "-n", at.namespace, "link", "set", outer, "master", "bridge0", "up")
        own = ("ip", "-n", self.namespace)
        run(*own, "link", "set", "eth0", "address", nic.mac, "mtu", str(nic.network.mtu))
        run(*own, "address", "add", f"{nic.ip}/{nic.prefix}", "dev", "eth0")

    def udp(self, *, may_be_cut: bool = False) -> socket.socket:
        """Takes datagrams at port 9; what it sends nobody may cut into pieces, or everybody."""
        made = socket_in(self.namespace, socket.AF_INET, socket.SOCK_DGRAM)
        made.setsockopt(socket.IPPROTO_IP, 10, 0 if may_be_cut else 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DONT or _DO
        made.bind((self.nic.ip, 9))
        return made

    def raw(self) -> socket.socket:
        """Sends frames as they are given, and gives those that arrive."""
        made = socket_in(self.namespace, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        made.bind(("eth0", 3))
        return made

    def leave(self) -> None:
        """After it the guest is nowhere."""
        run("ip", "-n", self.namespace, "link", "delete", "eth0")

    def question(self, ip: str) -> bytes:
        """An ARP request for `ip`."""
        arp = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, self._mac, self._ip, bytes(6), socket.inet_aton(ip))
        return b"\xff" * 6 + self._mac + b"\x08\x06" + arp

    def announcement(self) -> bytes:
        """What QEMU sends where a guest arrives: a broadcast RARP from the guest's MAC."""
        rarp = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 3, self._mac, bytes(4), self._mac, bytes(4))
        return b"\xff" * 6 + self._mac + b"\x80\x35" + rarp

    def discovery(self) -> bytes:
        """A DHCPDISCOVER."""
        bootp = struct.pack("!BBBBIHH", 1, 1, 6, 0, random.randrange(2**32), 0, 0x8000) + bytes(16) + self._mac
        bootp += bytes(10 + 64 + 128) + b"\x63\x82\x53\x63" + bytes([53, 1, 1, 255]) + bytes(60)
        udp = struct.pack("!HHHH", 68, 67, 8 + len(bootp), 0) + bootp
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4), b"\xff" * 4)
        total = sum(struct.unpack("!10H", head))
        total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
        return b"\xff" * 6 + self._mac + b"\x08\x00" + head[:10] + struct.pack("!H", total) + head[12:] + udp

    @property
    def _mac(self) -> bytes:
        return bytes.fromhex(self.nic.mac.replace(":", ""))

    @property
    def _ip(self) -> bytes:
        return socket.inet_aton(self.nic.ip)


def waiting(sniffer: socket.socket) -> Iterator[bytes]:
    """The frames that are there already."""
    while select.select([sniffer], [], [], 0)[0]:
        yield sniffer.recv(65535)


def frames_until(sniffer: socket.socket, last: bytes) -> list[bytes]:
    """The frames that came before `last` did."""
    seen: list[bytes] = []
    while not seen or not seen[-1].startswith(last):
        seen.append(sniffer.recv(65535))
    return seen[:-1]


def exchange(one: socket.socket, other: socket.socket, size: int = 4) -> None:
    """A datagram of `size` bytes from one guest to the other, and back."""
    for sender, receiver in ((one, other), (other, one)):
        content = os.urandom(size)
        sender.sendto(content, receiver.getsockname())
        assert receiver.recv(65535) == content
