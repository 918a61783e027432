"""The connection to libvirtd: it heals when libvirtd goes away and comes back, and says so when it stays away."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import queue
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisor.driver import BaseImage
from hypervisor.errors import HypervisorUnreachable
from hypervisor.libvirt.connection import Connection
from hypervisor.libvirt.driver import LibvirtDriver
from tests.contract import specs
from tests.contract.hosts import LibvirtHost

pytestmark = pytest.mark.real

_LIBVIRTD = "/run/libvirt/libvirt-sock"


class Door:
    """A socket in front of libvirtd's, that a test can shut: to its clients libvirtd is gone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.uri = f"qemu+unix:///system?socket={path}"
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []

    def open(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        assert self._listener is not None
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.path.unlink()
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(_LIBVIRTD)
                self._open += [client, server]
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def door(real_libvirt: str, state_dir: Path) -> Iterator[Door]:
    made = Door(state_dir / "door")
    made.open()
    yield made
    if made.path.exists():
        made.shut()


def test_a_connection_that_broke_is_opened_anew_and_events_go_on(libvirt_host: LibvirtHost, door: Door) -> None:
    driver = LibvirtDriver(dataclasses.replace(libvirt_host.config, libvirt_uri=door.uri))
    seen: queue.SimpleQueue[str] = queue.SimpleQueue()
    driver.events.subscribe(lambda state, event: seen.put(f"{event} {state.action_id}"))
    try:
        driver.inventory.read()
        door.shut()
        door.open()
        with contextlib.suppress(HypervisorUnreachable):  # a call may meet the broken connection; the next must not
            driver.inventory.read()
        guest = specs.guest(config_drive=None)
        listener = specs.Listener()
        assert driver.lifecycle.state(guest.instance_id) is None
        path = libvirt_host.config.base_dir / "base"
        path.write_bytes(specs.RAW_BYTES)
        base = BaseImage(path=str(path), disk_format="raw", virtual_size_bytes=specs.MIB)
        driver.disks.create(guest, base, specs.maker(), listener)
        driver.lifecycle.start(guest, specs.maker(), listener)
        while seen.get(timeout=20) != "started action-1":
            pass
    finally:
        driver.close()


def test_the_dispatcher_connects_again_by_itself(libvirt_host: LibvirtHost, door: Door) -> None:
    opened: queue.SimpleQueue[object] = queue.SimpleQueue()
    driver = LibvirtDriver(dataclasses.replace(libvirt_host.config, libvirt_uri=door.uri))
    driver.events.subscribe(lambda _state, _event: None)
    try:
        driver.inventory.read()
        driver._connection.on_open(opened.put)
        opened.get(timeout=20)  # the one that is open
        door.shut()
        door.open()
        opened.get(timeout=20)
    finally:
        driver.close()


def test_a_libvirtd_that_stays_away_is_unreachable(door: Door) -> None:
    connection = Connection(door.uri, patience=0.5)
    assert connection.get().isAlive()
    door.shut()
    while connection._current is not None and connection._current.isAlive():
        os.sched_yield()
    with pytest.raises(HypervisorUnreachable, match="libvirtd"):
        connection.get()
    connection.close()


def test_those_who_wait_for_libvirtd_wait_side_by_side(door: Door) -> None:
    connection = Connection(door.uri, patience=1.0)
    connection.get()
    door.shut()
    while connection._current is not None and connection._current.isAlive():
        os.sched_yield()
    waited: list[float] = []

    def wait() -> None:
        begun = time.monotonic()
        with pytest.raises(HypervisorUnreachable):
            connection.get()
        waited.append(time.monotonic() - begun)

    threads = [threading.Thread(target=wait) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(waited) == 8
    assert max(waited) < 4.0, "one after the other they would wait for 8 s"
    connection.close()


def test_a_connection_is_not_carried_over_a_fork(real_libvirt: str) -> None:
    connection = Connection(real_libvirt)
    connection.get()
    child = os.fork()
    if child == 0:
        try:
            connection.get()
        except RuntimeError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    connection.close()
