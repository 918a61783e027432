"""Facet Images: what a host may rely on once an image was fetched."""

from __future__ import annotations

import hashlib
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hypervisor.errors import ImageRefused, ImageUnreachable, Superseded
from hypervisor.spec import ImageSource
from tests.contract import specs
from tests.contract.hosts import Host
from tests.contract.image_server import ImageServer


def cached(host: Host) -> list[str]:
    """Names of all files in the cache but locks."""
    return sorted(path.name for path in host.config.base_dir.iterdir() if path.suffix != ".lock")


def test_an_image_is_downloaded_once_however_many_ask(
    host: Host, image_server: ImageServer, image: ImageSource
) -> None:
    image_server.gate.clear()
    waiting = specs.Listener()
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(host.driver.images.fetch, image, specs.Listener())
        assert image_server.asked.wait(10)
        others = [pool.submit(host.driver.images.fetch, image, waiting) for _ in range(4)]
        while waiting.calls == 0:
            os.sched_yield()
        image_server.gate.set()
        bases = {future.result(timeout=30) for future in [first, *others]}
    assert image_server.requests == 1
    assert len(bases) == 1
    base = bases.pop()
    assert Path(base.path).read_bytes() == specs.RAW_BYTES
    assert (base.disk_format, base.virtual_size_bytes) == ("raw", specs.MIB)


def test_a_cached_image_is_not_asked_for_again(host: Host, image_server: ImageServer, image: ImageSource) -> None:
    assert host.driver.images.fetch(image, specs.Listener()) == host.driver.images.fetch(image, specs.Listener())
    assert image_server.requests == 1


def test_a_base_image_is_read_only(host: Host, image: ImageSource) -> None:
    base = host.driver.images.fetch(image, specs.Listener())
    assert Path(base.path).stat().st_mode & 0o777 == 0o444


def test_a_damaged_cached_image_is_fetched_afresh(host: Host, image_server: ImageServer, image: ImageSource) -> None:
    base = Path(host.driver.images.fetch(image, specs.Listener()).path)
    base.chmod(0o644)
    base.write_bytes(b"x" * specs.MIB)
    assert Path(host.driver.images.fetch(image, specs.Listener()).path).read_bytes() == specs.RAW_BYTES
    assert image_server.requests == 2


def test_a_cached_image_with_another_stamp_and_good_bytes_is_kept(
    host: Host, image_server: ImageServer, image: ImageSource
) -> None:
    base = Path(host.driver.images.fetch(image, specs.Listener()).path)
    os.utime(base, (1, 1))
    listener = specs.Listener()
    host.driver.images.fetch(image, listener)
    assert image_server.requests == 1
    assert listener.calls > 0, "verifying is long work and must tell that it lives"


def test_bytes_with_another_checksum_are_refused(host: Host, image_server: ImageServer, image: ImageSource) -> None:
    image_server.content = b"x" * specs.MIB
    with pytest.raises(ImageRefused, match="SHA-512"):
        host.driver.images.fetch(image, specs.Listener())
    assert cached(host) == []


@pytest.mark.parametrize("length", [specs.MIB - 1, specs.MIB + 1])
def test_another_number_of_bytes_is_refused(
    host: Host, image_server: ImageServer, image: ImageSource, length: int
) -> None:
    image_server.content = bytes(length)
    with pytest.raises(ImageRefused, match=str(specs.MIB)):
        host.driver.images.fetch(image, specs.Listener())
    assert cached(host) == []


@pytest.mark.parametrize("status", [302, 401, 403, 404, 410])
def test_an_answer_that_will_not_change_is_a_refusal(
    host: Host, image_server: ImageServer, image: ImageSource, status: int
) -> None:
    image_server.status = status
    with pytest.raises(ImageRefused, match=str(status)):
        host.driver.images.fetch(image, specs.Listener())


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_answer_that_may_change_can_be_asked_for_again(
    host: Host, image_server: ImageServer, image: ImageSource, status: int
) -> None:
    image_server.status = status
    with pytest.raises(ImageUnreachable, match=str(status)):
        host.driver.images.fetch(image, specs.Listener())
    image_server.status = 200
    host.driver.images.fetch(image, specs.Listener())


def test_a_download_that_breaks_off_can_be_asked_for_again(
    host: Host, image_server: ImageServer, image: ImageSource
) -> None:
    image_server.content, image_server.declared_length = specs.RAW_BYTES[:1000], specs.MIB
    with pytest.raises(ImageUnreachable):
        host.driver.images.fetch(image, specs.Listener())
    assert cached(host) == []


def test_an_image_service_that_is_away_is_unreachable_and_its_signature_stays_secret(host: Host) -> None:
    away = specs.image(url="http://127.0.0.1:9/image?signature=secret-signature")
    with pytest.raises(ImageUnreachable) as caught:
        host.driver.images.fetch(away, specs.Listener())
    assert "secret-signature" not in str(caught.value)
    assert "127.0.0.1:9" in str(caught.value)


def test_a_superseded_fetch_stops_and_leaves_nothing(host: Host, image: ImageSource) -> None:
    listener = specs.Listener()
    listener.raises = Superseded()
    with pytest.raises(Superseded):
        host.driver.images.fetch(image, listener)
    assert cached(host) == []


@pytest.mark.parametrize("options", [["-F", "raw", "-b", "/etc/passwd"], ["-o", "data_file=data.raw"]])
def test_a_qcow2_that_names_another_file_is_refused(
    host: Host, image_server: ImageServer, tmp_path: Path, options: list[str]
) -> None:
    command = ["qemu-img", "create", "-q", "-f", "qcow2", *options, "evil.qcow2", "1M"]
    subprocess.run(command, cwd=tmp_path, check=True)
    evil = (tmp_path / "evil.qcow2").read_bytes()
    image_server.content = evil
    source = specs.image(evil, image_server.url, disk_format="qcow2", virtual_size_bytes=specs.MIB)
    with pytest.raises(ImageRefused, match="not safe"):
        host.driver.images.fetch(source, specs.Listener())
    assert cached(host) == []


@pytest.mark.parametrize(("content_format", "declared"), [("qcow2", "raw"), ("raw", "qcow2"), ("vmdk", "raw")])
def test_content_in_another_format_than_declared_is_refused(
    host: Host, image_server: ImageServer, tmp_path: Path, content_format: str, declared: str
) -> None:
    path = tmp_path / "image"
    subprocess.run(["qemu-img", "create", "-q", "-f", content_format, str(path), "1M"], check=True)
    image_server.content = path.read_bytes()
    source = specs.image(image_server.content, image_server.url, disk_format=declared)
    with pytest.raises(ImageRefused, match=f"declared {declared}"):
        host.driver.images.fetch(source, specs.Listener())
    assert cached(host) == []


def test_a_disk_larger_than_declared_is_refused(host: Host, image_server: ImageServer, tmp_path: Path) -> None:
    path = tmp_path / "image"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "2M"], check=True)
    image_server.content = path.read_bytes()
    source = specs.image(image_server.content, image_server.url, disk_format="qcow2", virtual_size_bytes=specs.MIB)
    with pytest.raises(ImageRefused, match=str(2 * specs.MIB)):
        host.driver.images.fetch(source, specs.Listener())


def test_a_checksum_that_leads_out_of_the_cache_is_refused(host: Host, image: ImageSource) -> None:
    evil = specs.image(url=image.url, sha512="../" + hashlib.sha512().hexdigest()[3:])
    with pytest.raises(ImageRefused, match="SHA-512"):
        host.driver.images.fetch(evil, specs.Listener())
