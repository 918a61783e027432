"""Files of other hosts, read through their libvirt: a storage pool on the file's directory, and a volume's stream.

The pool is transient: it exists in the peer's libvirtd alone, and nothing of it stays on a disk. No ssh, and no right
on the peer beyond libvirt's own.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
from collections.abc import Generator, Iterator
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import libvirt
from lxml import etree

from hypervisor.errors import PeerUnreachable
from hypervisor.libvirt.connection import run_event_loop
from hypervisor.libvirt.xml.element import E

_PIECE = 1024 * 1024
_KEEPALIVE = (5, 3)  # seconds between questions, unanswered ones before the peer counts as gone
_CONNECT_SECONDS = 10.0
_PORTS = {"qemu+tcp": 16509, "qemu+tls": 16514}
_TRIES = 3  # against others who make or end the pool of the same directory


class Peers:
    """The other hosts. `uri` is `MIGRATION_URI`, with %s for a host's name."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def read(self, host: str, path: str, doing: str) -> Generator[bytes, None, None]:
        """The bytes of the file `path` of that host, in pieces. `doing` begins the message of what fails.

        Errors: PeerUnreachable, whatever it was that went wrong there.
        """
        try:
            _knock(self._uri % host)
            yield from self._read(host, PurePosixPath(path))
        except (libvirt.libvirtError, OSError) as error:
            raise PeerUnreachable(f"{doing} from {host}: {error}") from error

    def _read(self, host: str, file: PurePosixPath) -> Iterator[bytes]:
        run_event_loop()
        connection = libvirt.open(self._uri % host)
        try:
            connection.setKeepAlive(*_KEEPALIVE)
            pool = _pool(connection, str(file.parent))
            try:
                yield from _stream(connection, pool.storageVolLookupByName(file.name))
            finally:
                with contextlib.suppress(libvirt.libvirtError):  # another reader of the directory ended it
                    pool.destroy()
        finally:
            with contextlib.suppress(libvirt.libvirtError):
                connection.close()


def _knock(uri: str) -> None:
    """OSError, soon, when nobody listens there: libvirt itself waits minutes for a host without power."""
    parts = urlsplit(uri)
    port = parts.port or _PORTS.get(parts.scheme)
    if parts.hostname and port:
        socket.create_connection((parts.hostname, port), timeout=_CONNECT_SECONDS).close()


def _pool(connection: libvirt.virConnect, directory: str) -> libvirt.virStoragePool:
    """The pool on `directory`, with what is in it now."""
    name = f"kn-{hashlib.sha256(directory.encode()).hexdigest()[:16]}"
    definition = E.pool(E.name(name), E.target(E.path(directory)), type="dir")
    xml = etree.tostring(definition, encoding="unicode")
    for attempt in range(1, _TRIES + 1):
        try:
            try:
                pool = connection.storagePoolLookupByName(name)
            except libvirt.libvirtError:
                return connection.storagePoolCreateXML(xml)
            pool.refresh()
            return pool
        except libvirt.libvirtError:
            if attempt == _TRIES:
                raise
    raise AssertionError("unreachable")


def _stream(connection: libvirt.virConnect, volume: libvirt.virStorageVol) -> Iterator[bytes]:
    stream = connection.newStream()
    volume.download(stream, 0, 0)
    try:
        while piece := stream.recv(_PIECE):
            yield piece
    except BaseException:
        with contextlib.suppress(libvirt.libvirtError):
            stream.abort()
        raise
    stream.finish()
