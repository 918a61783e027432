"""Tells a DHCP server of this host that a client gave its address back: DHCPRELEASE, RFC 2131 section 4.4.6.

dnsmasq keeps leases in memory and has no other way to be told; the tool `dhcp_release` does the same and is not in the
packages that libvirt needs. Needs the right to bind a socket to a device (root).
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
import struct

_SERVER_PORT = 67
_BOOTREQUEST, _ETHERNET, _MAC_LENGTH = 1, 1, 6
_COOKIE = b"\x63\x82\x53\x63"
_RELEASE = 7
_OPTION_MESSAGE_TYPE, _OPTION_SERVER, _OPTION_CLIENT, _OPTION_END = 53, 54, 61, 255


def send_release(bridge: str, server_ip: str, mac: str, ip: str, client_id: str | None) -> None:
    """Sends one release of `ip`, leased to `mac` (and `client_id`, hex with colons), to the server on `bridge`.

    Nothing answers a release: look whether the lease is gone. Errors: OSError, when the bridge is not on this machine.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        # Bound to the bridge the packet counts as one that came in over it, though it never leaves this machine.
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, bridge.encode())
        sender.sendto(_packet(server_ip, mac, ip, client_id), (server_ip, _SERVER_PORT))


def _packet(server_ip: str, mac: str, ip: str, client_id: str | None) -> bytes:
    head = struct.pack(
        "!BBBBIHH4s4s4s4s16s64s128s",
        _BOOTREQUEST,
        _ETHERNET,
        _MAC_LENGTH,
        0,
        secrets.randbits(32),
        0,
        0,
        ipaddress.IPv4Address(ip).packed,
        *([b""] * 3),
        _bytes(mac),
        *([b""] * 2),
    )
    options = bytes([_OPTION_MESSAGE_TYPE, 1, _RELEASE, _OPTION_SERVER, 4]) + ipaddress.IPv4Address(server_ip).packed
    if client_id:
        options += bytes([_OPTION_CLIENT, len(_bytes(client_id))]) + _bytes(client_id)
    return head + _COOKIE + options + bytes([_OPTION_END])


def _bytes(hex_with_colons: str) -> bytes:
    return bytes.fromhex(hex_with_colons.replace(":", ""))
