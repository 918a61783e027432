"""Keepalive for QEMU's connections to another host.

While a disk is copied QEMU waits for answers of the destination's NBD server, and gives that connection no keepalive:
when the destination loses its power, the guest at the source stands still with QEMU until the destination is back. Set
from outside (`pidfd_getfd`, Linux 5.6; needs to be allowed to trace QEMU, as root is), the kernel ends it in seconds.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import socket

log = logging.getLogger(__name__)

IDLE_SECONDS, INTERVAL_SECONDS, PROBES = 5, 2, 4  # a dead peer is noticed after 13 s
_PIDFD_GETFD = 438  # the same on every architecture
_libc = ctypes.CDLL(None, use_errno=True)


def keep_alive(pid: int, address: str) -> int:
    """After it each TCP connection of that process to `address` (IPv4) has keepalive; says how many got it now.

    Errors: OSError, when the process may not be looked into.
    """
    changed = 0
    process = os.pidfd_open(pid)
    try:
        for number in os.listdir(f"/proc/{pid}/fd"):
            if _is_socket(pid, number):
                changed += _keep_one_alive(process, int(number), address)
    finally:
        os.close(process)
    return changed


def _is_socket(pid: int, number: str) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/fd/{number}").startswith("socket:")
    except FileNotFoundError:  # closed meanwhile
        return False


def _keep_one_alive(process: int, number: int, address: str) -> bool:
    handle = _libc.syscall(_PIDFD_GETFD, process, number, 0)
    if handle < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"file {number} of another process: {os.strerror(code)}")
    with contextlib.suppress(OSError), socket.socket(fileno=handle) as ours:  # theirs stays open
        is_tcp = ours.family == socket.AF_INET and ours.type == socket.SOCK_STREAM
        if not is_tcp or ours.getpeername()[0] != address:  # OSError: it is not connected
            return False
        if ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE):
            return False
        ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_SECONDS)
        ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, INTERVAL_SECONDS)
        ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return True
    return False
