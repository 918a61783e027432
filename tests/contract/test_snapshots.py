"""Facet Snapshots: a full copy of the system disk, its way to the image service, and that nothing of it stays."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from hypervisor.driver import DiskCopy
from hypervisor.errors import GuestNotFound, HypervisorFailed, Superseded, UploadFailed, UploadRefused
from hypervisor.image_format import inspect
from hypervisor.libvirt.xml.reading import DiskInUse, disks_of
from hypervisor.spec import GuestSpec, ImageSource, Maker
from tests.contract import specs
from tests.contract.hosts import Host, LibvirtHost
from tests.contract.image_server import ImageServer
from tests.contract.test_lifecycle import RUNNING, prepare, start, state

PAUSED = 3
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


def test_taking_one_removes_what_an_action_that_is_over_left(host: Host, guest: GuestSpec) -> None:
    before = files(host, guest)
    take(host, guest, specs.maker(action="action-3"))
    take(host, guest)
    host.driver.snapshots.discard(guest.instance_id, SNAPSHOT)
    assert files(host, guest) == before


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


# --- libvirt ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def real_guest(libvirt_host: LibvirtHost, image: ImageSource) -> GuestSpec:
    """A guest that runs under libvirt, from a disk without a system."""
    made = specs.guest()
    prepare(libvirt_host, made, image, specs.maker())
    start(libvirt_host, made, specs.maker())
    return made


def disk_file(host: LibvirtHost, guest: GuestSpec) -> str:
    return disks_xml(host, guest)["vda"].source


def disks_xml(host: LibvirtHost, guest: GuestSpec) -> dict[str, DiskInUse]:
    return disks_of(host.domain(guest.instance_id).XMLDesc())


@pytest.mark.real
def test_a_paused_guest_is_copied_and_stays_paused(libvirt_host: LibvirtHost, real_guest: GuestSpec) -> None:
    libvirt_host.domain(real_guest.instance_id).suspend()
    take(libvirt_host, real_guest)
    assert libvirt_host.driver.lifecycle.state(real_guest.instance_id) == state(real_guest, PAUSED)


@pytest.mark.real
def test_what_the_guest_has_on_its_disk_is_in_the_copy(libvirt_host: LibvirtHost, real_guest: GuestSpec) -> None:
    disk = libvirt_host.config.instances_dir / real_guest.instance_id / "disk"
    libvirt_host.stop_guest(real_guest.instance_id)
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 0x5a 64M 1M", str(disk)], check=True, capture_output=True)
    start(libvirt_host, real_guest, specs.maker())
    take(libvirt_host, real_guest)
    command = ["qemu-io", "-r", "-f", "qcow2", "-c", "read -P 0x5a 64M 1M", "-c", "read -P 0 0 1M"]
    read = subprocess.run(
        [*command, str(copy_of(libvirt_host, real_guest))], check=True, capture_output=True, text=True
    )
    assert "verification failed" not in read.stdout
    assert copy_of(libvirt_host, real_guest).stat().st_size < 16 * specs.MIB, "what nobody wrote takes room"


@pytest.mark.real
def test_a_copy_that_a_dead_worker_left_running_is_ended_and_the_guest_keeps_its_disk(
    libvirt_host: LibvirtHost, real_guest: GuestSpec
) -> None:
    before = disk_file(libvirt_host, real_guest)
    leave_a_copy_running(libvirt_host, real_guest)
    for _ in range(2):
        libvirt_host.driver.lifecycle.settle(real_guest.instance_id)
        assert disks_xml(libvirt_host, real_guest)["vda"].mirror == ""
    leave_a_copy_running(libvirt_host, real_guest)
    take(libvirt_host, real_guest)
    leave_a_copy_running(libvirt_host, real_guest)
    libvirt_host.driver.snapshots.discard(real_guest.instance_id, SNAPSHOT)
    assert disks_xml(libvirt_host, real_guest)["vda"].mirror == ""
    assert disk_file(libvirt_host, real_guest) == before
    assert libvirt_host.driver.lifecycle.state(real_guest.instance_id) == state(real_guest, RUNNING)


def leave_a_copy_running(host: LibvirtHost, guest: GuestSpec) -> None:
    """What a worker leaves that dies in the middle of `take`."""
    path = copy_of(host, guest).with_name("snapshot.left")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "1G"], check=True)
    xml = f"<disk type='file'><source file='{path}'/><driver type='qcow2'/></disk>"
    flags = host.libvirt.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | host.libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
    host.domain(guest.instance_id).blockCopy("vda", xml, None, flags)
    assert disks_xml(host, guest)["vda"].mirror == "copy"


@pytest.mark.real
def test_a_guest_that_ends_while_it_is_copied_fails_the_copy_and_the_next_one_is_made(
    libvirt_host: LibvirtHost, real_guest: GuestSpec
) -> None:
    disk = libvirt_host.config.instances_dir / real_guest.instance_id / "disk"
    libvirt_host.stop_guest(real_guest.instance_id)
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 0x5a 0 64M", str(disk)], check=True, capture_output=True)
    start(libvirt_host, real_guest, specs.maker())
    path, domain = copy_of(libvirt_host, real_guest), libvirt_host.domain(real_guest.instance_id)

    class Ends(specs.Listener):
        """Ends the guest once the copy is under way."""

        def __call__(self, percent: int | None = None, message: str = "") -> None:
            if "are copied" in message and domain.isActive():
                domain.destroy()

    with pytest.raises(HypervisorFailed, match="copying the disk"):
        libvirt_host.driver.snapshots.take(real_guest.instance_id, SNAPSHOT, Ends())
    assert path.exists()
    libvirt_host.driver.snapshots.discard(real_guest.instance_id, SNAPSHOT)
    assert not path.exists()
    assert take(libvirt_host, real_guest).size_bytes > 64 * specs.MIB
