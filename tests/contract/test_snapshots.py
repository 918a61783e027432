"""Facet Snapshots: a full copy of the system disk, its way to the image service, and that nothing of it stays."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from hypervisor.driver import DiskCopy
from hypervisor.errors import GuestNotFound, Superseded, UploadFailed, UploadRefused
from hypervisor.image_format import inspect
from hypervisor.spec import GuestSpec, ImageSource, Maker
from tests.contract import specs
from tests.contract.hosts import Host
from tests.contract.image_server import ImageServer
from tests.contract.test_lifecycle import RUNNING, prepare, start, state

SNAPSHOT = specs.maker(action="action-2")


@pytest.fixture
def guest(host: Host, image: ImageSource) -> GuestSpec:
    """A guest with a disk and no port, not started."""
    made = specs.guest()
    prepare(host, made, image, specs.maker())
    return made


def take(host: Host, guest: GuestSpec, maker: Maker = SNAPSHOT) -> DiskCopy:
    return host.driver.snapshots.take(guest.instance_id, maker, specs.Listener())


def upload(host: Host, guest: GuestSpec, url: str) -> DiskCopy:
    return host.driver.snapshots.upload(guest.instance_id, "image-1", url, SNAPSHOT, specs.Listener())


def files(host: Host, guest: GuestSpec) -> list[str]:
    return sorted(path.name for path in (host.config.instances_dir / guest.instance_id).iterdir())


def copy_of(host: Host, guest: GuestSpec) -> Path:
    return host.config.instances_dir / guest.instance_id / "snapshot.action-2"


@pytest.mark.parametrize("runs", [False, True], ids=["of a guest that is off", "of a guest that runs"])
def test_the_copy_is_a_whole_qcow2_that_stands_on_nothing(host: Host, guest: GuestSpec, runs: bool) -> None:
    if runs:
        start(host, guest, specs.maker())
    copy = take(host, guest)
    data = copy_of(host, guest).read_bytes()
    assert (copy.disk_format, copy.virtual_size_bytes, copy.size_bytes) == ("qcow2", 1024**3, len(data))
    assert copy.sha512 == hashlib.sha512(data).hexdigest()
    assert copy.md5 == hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert inspect(copy_of(host, guest), "qcow2", "image-1") == 1024**3
    assert not copy.is_noted
    if runs:
        assert host.driver.lifecycle.state(guest.instance_id) == state(guest, RUNNING)


def test_a_copy_that_is_whole_is_not_made_again_and_one_from_other_inputs_is(host: Host, guest: GuestSpec) -> None:
    first = take(host, guest)
    stamp = copy_of(host, guest).stat().st_mtime_ns
    assert take(host, guest) == first
    assert copy_of(host, guest).stat().st_mtime_ns == stamp
    take(host, guest, specs.maker(action="action-2", inputs="others"))
    assert copy_of(host, guest).stat().st_mtime_ns > stamp


def test_what_an_interrupted_copy_left_is_replaced(host: Host, guest: GuestSpec) -> None:
    copy_of(host, guest).write_bytes(b"half of it")
    assert take(host, guest).size_bytes == copy_of(host, guest).stat().st_size > 10


@pytest.mark.parametrize("runs", [False, True], ids=["of a guest that is off", "of a guest that runs"])
def test_a_copy_that_is_superseded_leaves_the_guest_as_it_was_and_its_undo_nothing(
    host: Host, guest: GuestSpec, runs: bool
) -> None:
    before = files(host, guest)
    if runs:
        start(host, guest, specs.maker())
        before = files(host, guest)
    listener = specs.Listener()
    listener.raises = Superseded("a higher turn")
    with pytest.raises(Superseded):
        host.driver.snapshots.take(guest.instance_id, SNAPSHOT, listener)
    for _ in range(2):
        host.driver.snapshots.discard(guest.instance_id, SNAPSHOT)
        assert files(host, guest) == before
    assert host.driver.lifecycle.state(guest.instance_id) == (state(guest, RUNNING) if runs else None)
    take(host, guest)


def test_discarding_spares_what_another_action_took(host: Host, guest: GuestSpec) -> None:
    take(host, guest)
    host.driver.snapshots.discard(guest.instance_id, specs.maker(action="action-3"))
    assert copy_of(host, guest).exists()


def test_an_instance_without_a_disk_has_no_snapshot(host: Host) -> None:
    with pytest.raises(GuestNotFound, match="no disk"):
        take(host, specs.guest())


def test_the_image_service_gets_the_copy_with_its_checksum_as_often_as_it_is_asked(
    host: Host, guest: GuestSpec, image_server: ImageServer
) -> None:
    copy = take(host, guest)
    for _ in range(2):
        assert upload(host, guest, image_server.url) == copy
    data = copy_of(host, guest).read_bytes()
    assert image_server.received == [data, data]
    assert image_server.promised == [copy.sha512, copy.sha512]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, UploadFailed) for status in (500, 503, 429)),
        *((status, UploadRefused) for status in (404, 409, 400, 302, 200)),
    ],
)
def test_any_other_answer_fails_and_the_message_has_no_secret(
    host: Host, guest: GuestSpec, image_server: ImageServer, status: int, error: type[Exception]
) -> None:
    take(host, guest)
    image_server.put_status = status
    image_server.put_words = b'{"message": "the reason"}'
    with pytest.raises(error, match=f"answered {status}: the reason") as caught:
        upload(host, guest, image_server.url)
    assert "secret" not in str(caught.value)
    assert len(image_server.received) == 1, "a redirect was followed"


def test_an_image_service_that_does_not_answer_is_asked_again_later(host: Host, guest: GuestSpec) -> None:
    take(host, guest)
    with pytest.raises(UploadFailed, match="did not take it") as caught:
        upload(host, guest, "http://127.0.0.1:9/file?signature=secret-signature")
    assert "secret" not in str(caught.value)


def test_what_was_not_taken_is_not_sent(host: Host, guest: GuestSpec, image_server: ImageServer) -> None:
    with pytest.raises(UploadRefused, match="no copy"):
        upload(host, guest, image_server.url)
    assert image_server.received == []
