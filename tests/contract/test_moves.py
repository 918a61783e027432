"""Facet Moves, and `Lifecycle.define`: disks set aside, brought from this storage or from another host, put back."""

from __future__ import annotations

import dataclasses
import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisor.driver import BaseImage
from hypervisor.errors import CopyDamaged, DiskLost, DiskTooSmall, PeerUnreachable
from hypervisor.moves import AsideDisk
from hypervisor.spec import GuestSpec, GuestState, ImageSource
from tests.contract import specs
from tests.contract.hosts import Host, LibvirtHost, load_host

GIB = 1024**3
ACTION, NEXT = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
HERE = "qemu:///system"  # as a peer: the libvirt that serves both hosts of these tests


@pytest.fixture
def arrival(host: Host) -> Iterator[Host]:
    """Another host with the same driver and a storage of its own. The peer's address is the whole URI."""
    with tempfile.TemporaryDirectory(prefix="kn-contract-", ignore_cleanup_errors=True) as made:
        os.chmod(made, 0o711)
        other = load_host(host.driver.name, Path(made), migration_uri="%s")
        yield other
        other.clean()


@pytest.fixture
def guest(host: Host, image: ImageSource) -> GuestSpec:
    """A guest with a disk of 1 GiB on which 7 is written."""
    made = dataclasses.replace(specs.guest(), image=image)
    base = host.driver.images.fetch(image, specs.Listener())
    host.driver.disks.create(made, base, specs.maker(), specs.Listener())
    host.write(disk(host, made), 7)
    return made


def disk(host: Host, guest: GuestSpec, aside: str = "") -> Path:
    return host.config.instances_dir / f"{guest.instance_id}{aside}" / "disk"


def names(host: Host) -> set[str]:
    """What is in the instances' directory."""
    directory = host.config.instances_dir
    return {entry.name for entry in directory.iterdir()} - {"storage-id"} if directory.exists() else set()


def set_aside(host: Host, guest: GuestSpec, *, hashes: bool = True) -> AsideDisk:
    return host.driver.moves.set_aside(guest.instance_id, ACTION, hashes=hashes, progress=specs.Listener())


def base_of(host: Host, guest: GuestSpec) -> BaseImage:
    return host.driver.images.fetch(guest.image, specs.Listener())


def bring(
    host: Host, guest: GuestSpec, aside: AsideDisk, base: BaseImage | None, peer: str = "", action: str = ACTION
) -> None:
    host.driver.moves.bring_disk(guest, aside, base, peer, specs.maker(action), specs.Listener())


def test_a_disk_says_what_it_is_and_stands_on(host: Host, guest: GuestSpec) -> None:
    origin = host.driver.moves.describe(guest.instance_id)
    base = base_of(host, guest)
    assert (origin.virtual_size_bytes, origin.base, origin.base_format) == (GIB, base.path, "raw")
    assert (origin.base_size_bytes, origin.base_virtual_bytes) == (specs.MIB, specs.MIB)
    with pytest.raises(DiskLost):
        host.driver.moves.describe(str(uuid.uuid4()))


def test_what_is_set_aside_is_as_it_was_and_comes_back_so(host: Host, guest: GuestSpec) -> None:
    bytes_before = disk(host, guest).read_bytes()
    first, again = set_aside(host, guest), set_aside(host, guest)
    assert first == again
    assert first.size_bytes == len(bytes_before)
    assert names(host) == {f"{guest.instance_id}.{ACTION}"}
    host.driver.moves.check_aside(guest.instance_id, ACTION)
    with pytest.raises(DiskLost):
        host.driver.moves.check_aside(guest.instance_id, NEXT)
    assert [host.driver.moves.put_back(guest.instance_id, ACTION) for _ in range(2)] == [True, False]
    assert names(host) == {guest.instance_id}
    assert disk(host, guest).read_bytes() == bytes_before


def test_without_a_disk_nothing_is_set_aside(host: Host) -> None:
    with pytest.raises(DiskLost):
        set_aside(host, specs.guest())
    assert names(host) == set()


def test_on_one_storage_a_larger_copy_is_made_and_what_was_set_aside_stays(host: Host, guest: GuestSpec) -> None:
    aside, base = set_aside(host, guest, hashes=False), base_of(host, guest)
    larger = dataclasses.replace(guest, disk_gib=2)
    for _ in range(2):
        bring(host, larger, aside, base)
    assert host.disk(guest.instance_id) | {"number": 0} == {
        "size_bytes": 2 * GIB,
        "backing": base.path,
        "format": "qcow2",
        "backing_format": "raw",
        "number": 0,
    }
    assert host.config_drive_file(guest.instance_id, "user_data") == b"#!/bin/sh\necho hello\n"
    host.write(disk(host, guest), 9)
    assert host.written(disk(host, guest)) == 9
    assert host.written(disk(host, guest, f".{ACTION}")) == 7
    host.driver.disks.delete(guest.instance_id, specs.maker(ACTION))
    assert names(host) == {f"{guest.instance_id}.{ACTION}"}, "an undo leaves what was set aside"
    assert host.driver.moves.put_back(guest.instance_id, ACTION)
    assert host.written(disk(host, guest)) == 7


def test_a_disk_and_its_base_come_from_another_host(host: Host, arrival: Host, guest: GuestSpec) -> None:
    origin, aside = host.driver.moves.describe(guest.instance_id), set_aside(host, guest)
    gone = dataclasses.replace(guest, image=dataclasses.replace(guest.image, url=""))
    base = arrival.driver.moves.bring_base(gone.image, origin, HERE, specs.Listener())
    assert base is not None
    assert Path(base.path).parent == arrival.config.base_dir
    assert Path(base.path).read_bytes() == specs.RAW_BYTES
    larger = dataclasses.replace(gone, disk_gib=3)
    for _ in range(2):
        bring(arrival, larger, aside, base, HERE)
    found = arrival.disk(guest.instance_id)
    assert (found["size_bytes"], found["backing"]) == (3 * GIB, base.path)
    assert arrival.written(disk(arrival, guest)) == 7
    assert host.written(disk(host, guest, f".{ACTION}")) == 7
    assert names(arrival) == {guest.instance_id}


def test_an_image_that_the_catalogue_has_is_fetched_there(host: Host, arrival: Host, guest: GuestSpec) -> None:
    origin = host.driver.moves.describe(guest.instance_id)
    base = arrival.driver.moves.bring_base(guest.image, origin, "nowhere://", specs.Listener())
    assert base is not None
    assert Path(base.path).read_bytes() == specs.RAW_BYTES


def test_bytes_that_are_not_those_of_the_source_are_refused(host: Host, arrival: Host, guest: GuestSpec) -> None:
    aside = dataclasses.replace(set_aside(host, guest), sha256="0" * 64)
    with pytest.raises(CopyDamaged):
        bring(arrival, guest, aside, base_of(arrival, guest), HERE)
    assert not disk(arrival, guest).exists()
    arrival.driver.disks.delete(guest.instance_id, specs.maker(ACTION))
    assert names(arrival) == set()


def test_a_disk_does_not_shrink(host: Host, guest: GuestSpec) -> None:
    base = base_of(host, guest)
    bring(host, dataclasses.replace(guest, disk_gib=2), set_aside(host, guest), base)
    host.driver.moves.discard(guest.instance_id, ACTION)
    with pytest.raises(DiskTooSmall):
        bring(host, guest, set_aside(host, guest), base, action=NEXT)
    host.driver.disks.delete(guest.instance_id, specs.maker(NEXT))
    assert names(host) == {f"{guest.instance_id}.{ACTION}"}


def test_a_delete_takes_what_was_set_aside_along_and_a_discard_that_alone(host: Host, guest: GuestSpec) -> None:
    bring(host, guest, set_aside(host, guest), base_of(host, guest))
    for _ in range(2):
        host.driver.moves.discard(guest.instance_id, ACTION)
        assert names(host) == {guest.instance_id}
    set_aside(host, guest)
    host.driver.disks.delete(guest.instance_id, None)
    assert names(host) == set()


def test_a_delete_ends_what_an_interrupted_discard_began(host: Host, guest: GuestSpec) -> None:
    set_aside(host, guest)
    directory = host.config.instances_dir
    (directory / f"{guest.instance_id}.{ACTION}").rename(directory / f".removing-{guest.instance_id}.{ACTION}")
    host.driver.disks.delete(guest.instance_id, None)
    assert names(host) == set()


def test_the_base_under_what_is_set_aside_is_not_pruned(host: Host, guest: GuestSpec) -> None:
    base = base_of(host, guest)
    set_aside(host, guest)
    assert host.driver.images.prune(-1) == []  # type: ignore[attr-defined]
    host.driver.moves.discard(guest.instance_id, ACTION)
    assert host.driver.images.prune(-1) == [base.path]  # type: ignore[attr-defined]


def test_a_guest_is_defined_and_off_until_it_is_started(host: Host, guest: GuestSpec) -> None:
    def state(power_state: int, action: str) -> GuestState:
        return GuestState(instance_id=guest.instance_id, power_state=power_state, action_id=action)

    for _ in range(2):
        host.driver.lifecycle.define(guest, specs.maker(), specs.Listener())
        assert host.driver.lifecycle.state(guest.instance_id) == state(4, "action-1")
    host.driver.lifecycle.define(guest, specs.maker("action-2"), specs.Listener())
    assert host.driver.lifecycle.state(guest.instance_id) == state(4, "action-2")
    host.driver.lifecycle.start(guest, specs.maker("action-2"), specs.Listener())
    assert host.driver.lifecycle.state(guest.instance_id) == state(1, "action-2")
    host.driver.lifecycle.define(guest, specs.maker("action-3"), specs.Listener())
    assert host.driver.lifecycle.state(guest.instance_id) == state(4, "action-3"), "what was there is ended"


# --- libvirt alone ----------------------------------------------------------------------------------------------------


@pytest.mark.real
def test_nothing_is_left_in_the_libvirt_that_was_read_from(libvirt_host: LibvirtHost, tmp_path: Path) -> None:
    from hypervisor.libvirt.peers import Peers

    (tmp_path / "disk").write_bytes(os.urandom(3 * specs.MIB + 5))
    before = {pool.name() for pool in libvirt_host.connection.listAllStoragePools()}
    read = b"".join(Peers("%s").read(HERE, str(tmp_path / "disk"), "reading"))
    assert read == (tmp_path / "disk").read_bytes()
    started = Peers("%s").read(HERE, str(tmp_path / "disk"), "reading")
    assert len(next(started)) > 0
    started.close()
    assert {pool.name() for pool in libvirt_host.connection.listAllStoragePools()} == before


@pytest.mark.real
@pytest.mark.parametrize(("peer", "path"), [("qemu+tcp://127.0.0.1:9/system", "/x/disk"), (HERE, "/nonexistent/disk")])
def test_a_peer_or_a_file_that_is_not_there_says_so(libvirt_host: LibvirtHost, peer: str, path: str) -> None:
    from hypervisor.libvirt.peers import Peers

    with pytest.raises(PeerUnreachable, match="reading the disk"):
        list(Peers("%s").read(peer, path, "reading the disk"))
