"""The certificates of one compute host, laid out as the host has them in `/etc/pki`: libvirt and QEMU look there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cloud.pki.authority import Authority, Pair
from cloud.pki.files import write_whole

# Where a host's authority is once the tree was copied: what its workers verify Redis and the API by.
CA_FILE = "/etc/pki/CA/cacert.pem"

# libvirt's names: its own, for its server and as a client of others; and QEMU's, for the memory of a live migration.
_LIBVIRT = (
    ("libvirt/servercert.pem", "libvirt/private/serverkey.pem"),
    ("libvirt/clientcert.pem", "libvirt/private/clientkey.pem"),
)
_QEMU = (("qemu/server-cert.pem", "qemu/server-key.pem"), ("qemu/client-cert.pem", "qemu/client-key.pem"))
_AUTHORITY = ("CA/cacert.pem", "qemu/ca-cert.pem")


def write(authority: Authority, directory: Path, host: str, addresses: Sequence[str] = ()) -> bool:
    """After it `directory` is the host's `/etc/pki`, with one certificate under all those names. It holds for the
    host's name and `addresses`. False when a lasting one was there already."""
    for folder, mode in {"": 0o700, "CA": 0o755, "libvirt": 0o755, "libvirt/private": 0o700, "qemu": 0o755}.items():
        (directory / folder).mkdir(parents=True, exist_ok=True)
        (directory / folder).chmod(mode)
    first, *others = [Pair(certificate=directory / c, key=directory / k) for c, k in (*_LIBVIRT, *_QEMU)]
    is_new = authority.issue(first, host, addresses)
    for other in others:
        write_whole(other.certificate, first.certificate.read_bytes(), 0o644)
        write_whole(other.key, first.key.read_bytes(), 0o600)
    for name in _AUTHORITY:
        write_whole(directory / name, authority.certificate.read_bytes(), 0o644)
    return is_new
