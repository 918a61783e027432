"""The certificates that `enroll_host` makes, as libvirt takes them: a libvirtd of its own that listens on TLS with the
`/etc/pki` of h1, and clients that have the one of h2, one of another authority, or none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.pki import authority, host_files
from tests.running_cloud import free_port, wait_for

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("libvirtd"), reason="needs root and libvirtd"),
]

# Mounts of its own: what libvirtd keeps is its own, and /etc is a copy with the certificates and the names of hosts.
_OWN_ETC = """
set -e
cp -a /etc "$1/etc"; rm -rf "$1/etc/pki"; mkdir "$1/etc/pki"; cp -r "$2/." "$1/etc/pki/"
echo '127.0.0.1 h1 h3' >> "$1/etc/hosts"
mount --make-rprivate /
mount --bind "$1/etc" /etc
"""
_SERVER = """
for own in /run/libvirt /var/lib/libvirt /var/cache/libvirt; do
    mkdir -p "$1$own" "$own"; mount --bind "$1$own" "$own"
done
exec /usr/sbin/libvirtd --listen -f "$1/libvirtd.conf" -p "$1/libvirtd.pid"
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trees of h1 and h2, of a stranger with an authority of his own, and of nobody, who believes ours."""
    root = tmp_path_factory.mktemp("libvirt")
    ours, others = authority.ensure(root / "ours"), authority.ensure(root / "others")
    for host in ("h1", "h2"):
        host_files.write(ours, root / f"{host}.pki", host)
    host_files.write(others, root / "stranger.pki", "h2")
    (root / "nobody.pki" / "CA").mkdir(parents=True)
    shutil.copy(ours.certificate, root / "nobody.pki" / "CA" / "cacert.pem")
    return root


@pytest.fixture(scope="module")
def port(directory: Path) -> Iterator[int]:
    """Where a libvirtd with the certificates of h1 listens."""
    port, own = free_port(), directory / "server"
    own.mkdir()
    lines = ["listen_tls = 1", "listen_tcp = 0", 'listen_addr = "127.0.0.1"', f'tls_port = "{port}"']
    (own / "libvirtd.conf").write_text("\n".join([*lines, 'auth_unix_rw = "none"', 'auth_unix_ro = "none"', ""]))
    command = ["unshare", "--mount", "bash", "-c", _OWN_ETC + _SERVER, "bash", str(own), str(directory / "h1.pki")]
    with (own / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_for("libvirtd", lambda: ask(directory, "h2", "h1", port).returncode == 0, timeout=60)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


def ask(directory: Path, who: str, name: str, port: int) -> subprocess.CompletedProcess[str]:
    """virsh of a host with the certificates of `who`, against the libvirtd under that name."""
    own = directory / f"client-{who}"
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir()
    virsh = f"exec timeout 30 virsh -c qemu+tls://{name}:{port}/system version"
    command = ["unshare", "--mount", "bash", "-c", _OWN_ETC + virsh, "bash", str(own), str(directory / f"{who}.pki")]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)


def test_an_enrolled_host_uses_the_libvirt_of_another(directory: Path, port: int) -> None:
    done = ask(directory, "h2", "h1", port)
    assert (done.returncode, "Running hypervisor: QEMU" in done.stdout) == (0, True), done.stderr


@pytest.mark.parametrize(
    ("who", "why"), [("stranger", "Failed to verify peer's certificate"), ("nobody", "Unable to read TLS confirmation")]
)
def test_who_has_no_certificate_of_the_clouds_authority_is_refused(
    directory: Path, port: int, who: str, why: str
) -> None:
    done = ask(directory, who, "h1", port)
    assert done.returncode != 0
    assert why in done.stderr


def test_a_host_under_a_name_that_its_certificate_does_not_hold_for_is_not_believed(directory: Path, port: int) -> None:
    done = ask(directory, "h2", "h3", port)
    assert done.returncode != 0
    assert "does not match the hostname h3" in done.stderr
