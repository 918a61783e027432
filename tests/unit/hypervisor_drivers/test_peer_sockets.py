"""Keepalive on the connections of another process."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from hypervisor.libvirt import peer_sockets

# Connects, then tells on request whether its connection has keepalive.
_CHILD = """
import socket, sys
ours = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print("connected", flush=True)
for line in sys.stdin:
    print(ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
          ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), flush=True)
"""


def test_the_connections_of_another_process_to_that_address_get_keepalive_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-c", _CHILD, str(server.getsockname()[1])]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            assert child.stdout.readline() == "connected\n"
            accepted, _ = server.accept()
            with accepted:
                assert peer_sockets.keep_alive(child.pid, "192.0.2.1") == 0
                assert peer_sockets.keep_alive(child.pid, "127.0.0.1") == 1
                assert peer_sockets.keep_alive(child.pid, "127.0.0.1") == 0
                child.stdin.write("?\n")
                child.stdin.flush()
                assert child.stdout.readline().split() == ["1", str(peer_sockets.IDLE_SECONDS)]
            child.stdin.close()


def test_a_process_that_is_gone_is_an_error_of_the_system() -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    with pytest.raises(OSError, match="No such process"):
        peer_sockets.keep_alive(gone.pid, "127.0.0.1")
