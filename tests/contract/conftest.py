"""`host`: one host per driver. The libvirt one is marked `real` and needs root, libvirtd and QEMU."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.embedded import libvirtd
from hypervisor.spec import ImageSource
from tests.contract import specs
from tests.contract.hosts import Host, LibvirtHost, load_host
from tests.contract.image_server import ImageServer


@pytest.fixture(scope="session")
def real_libvirt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of a libvirt that answers, as root: the machine's, or one that runs for the tests."""
    if os.geteuid() != 0:
        pytest.skip("needs root: qemu:///system, bridges and dnsmasq")
    with libvirtd.running(tmp_path_factory.mktemp("libvirt")):
        yield "qemu:///system"


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """A state directory that QEMU's user can pass through; pytest's own are closed to it."""
    with tempfile.TemporaryDirectory(prefix="kn-contract-", ignore_cleanup_errors=True) as made:
        os.chmod(made, 0o711)
        yield Path(made)


@pytest.fixture(params=["simulated", pytest.param("libvirt", marks=pytest.mark.real)])
def host(request: pytest.FixtureRequest, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A host with each driver in turn; images are really fetched."""
    monkeypatch.setenv("SIMULATED_FETCH", "1")
    if request.param == "libvirt":
        request.getfixturevalue("real_libvirt")
    made = load_host(request.param, state_dir)
    yield made
    made.clean()


@pytest.fixture
def libvirt_host(real_libvirt: str, state_dir: Path) -> Iterator[LibvirtHost]:
    """A libvirt host, for what only libvirt can get wrong."""
    made = load_host("libvirt", state_dir)
    assert isinstance(made, LibvirtHost)
    yield made
    made.clean()


@pytest.fixture
def image_server() -> Iterator[ImageServer]:
    """An image service with a raw image of 1 MiB."""
    server = ImageServer()
    server.content = specs.RAW_BYTES
    with server.running():
        yield server


@pytest.fixture
def image(image_server: ImageServer) -> ImageSource:
    """The image that `image_server` has."""
    return specs.image(url=image_server.url)
