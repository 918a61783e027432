"""Facet Disks: the instance's directory and what is in it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path

import pytest

from hypervisor.driver import BaseImage
from hypervisor.errors import DiskTooSmall
from hypervisor.instance_files import InstanceFiles
from hypervisor.spec import GuestSpec, ImageSource, Maker
from tests.contract import specs
from tests.contract.hosts import Host
from tests.contract.image_server import ImageServer


@pytest.fixture
def base(host: Host, image: ImageSource) -> BaseImage:
    return host.driver.images.fetch(image, specs.Listener())


def create(host: Host, guest: GuestSpec, base: BaseImage, maker: Maker) -> None:
    host.driver.disks.create(guest, base, maker, specs.Listener())


def directory(host: Host, guest: GuestSpec) -> Path:
    return host.config.instances_dir / guest.instance_id


def stamp(host: Host, guest: GuestSpec) -> tuple[int, int]:
    found = (directory(host, guest) / "disk").stat()
    return found.st_ino, found.st_mtime_ns


def test_the_disk_has_the_flavors_size_and_stands_on_the_base(host: Host, base: BaseImage) -> None:
    guest = specs.guest(disk_gib=3)
    create(host, guest, base, specs.maker())
    expected = {"size_bytes": 3 * 1024**3, "backing": base.path, "format": "qcow2", "backing_format": "raw"}
    assert host.disk(guest.instance_id) == expected


def test_a_flavor_without_a_disk_gives_one_as_large_as_the_image(host: Host, base: BaseImage) -> None:
    guest = specs.guest(disk_gib=0)
    create(host, guest, base, specs.maker())
    assert host.disk(guest.instance_id)["size_bytes"] == specs.MIB


def test_a_flavor_smaller_than_the_image_is_refused_and_nothing_is_made(
    host: Host, image_server: ImageServer, tmp_path: Path
) -> None:
    path = tmp_path / "image"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "2G"], check=True)
    image_server.content = path.read_bytes()
    source = specs.image(image_server.content, image_server.url, disk_format="qcow2", virtual_size_bytes=2 * 1024**3)
    large = host.driver.images.fetch(source, specs.Listener())
    guest = specs.guest(disk_gib=1)
    with pytest.raises(DiskTooSmall):
        create(host, guest, large, specs.maker())
    assert not directory(host, guest).exists()


def test_the_config_drive_holds_what_the_spec_says(host: Host, base: BaseImage) -> None:
    guest = specs.guest()
    create(host, guest, base, specs.maker())
    read = {name: host.config_drive_file(guest.instance_id, name) for name in ("meta_data.json", "network_data.json")}
    assert guest.config_drive is not None
    assert json.loads(read["meta_data.json"]) == guest.config_drive.meta_data
    assert json.loads(read["network_data.json"]) == guest.config_drive.network_data
    assert host.config_drive_file(guest.instance_id, "user_data") == b"#!/bin/sh\necho hello\n"


def test_a_guest_without_config_drive_gets_none(host: Host, base: BaseImage) -> None:
    guest = specs.guest()
    create(host, guest, base, specs.maker())
    create(host, dataclasses.replace(guest, config_drive=None), base, specs.maker(inputs="others"))
    assert (directory(host, guest) / "disk").exists()
    assert not (directory(host, guest) / "disk.config").exists()


def test_the_same_action_with_the_same_inputs_leaves_the_disk_alone(host: Host, base: BaseImage) -> None:
    guest = specs.guest()
    create(host, guest, base, specs.maker())
    before = stamp(host, guest)
    create(host, guest, base, specs.maker())
    assert stamp(host, guest) == before


@pytest.mark.parametrize("changed", [specs.maker(inputs="inputs-2"), specs.maker(action="action-2")])
def test_another_action_or_other_inputs_replace_the_disk(host: Host, base: BaseImage, changed: Maker) -> None:
    guest = specs.guest()
    create(host, guest, base, specs.maker())
    before = stamp(host, guest)
    create(host, dataclasses.replace(guest, disk_gib=2), base, changed)
    assert stamp(host, guest) != before
    assert host.disk(guest.instance_id)["size_bytes"] == 2 * 1024**3


def test_a_disk_whose_making_was_interrupted_is_made_again(host: Host, base: BaseImage) -> None:
    guest = specs.guest()
    create(host, guest, base, specs.maker())
    side = directory(host, guest) / "made.json"
    side.write_text(side.read_text().replace("true", "false"))
    before = stamp(host, guest)
    create(host, guest, base, specs.maker())
    assert stamp(host, guest) != before


def test_an_undo_removes_what_its_action_made_and_may_run_twice(host: Host, base: BaseImage) -> None:
    guest = specs.guest()
    create(host, guest, base, specs.maker())
    for _ in range(2):
        host.driver.disks.delete(guest.instance_id, specs.maker())
        assert not directory(host, guest).exists()
    assert [entry.name for entry in host.config.instances_dir.iterdir() if entry.name != "storage-id"] == []


def test_an_undo_of_another_action_removes_nothing(host: Host, base: BaseImage) -> None:
    guest = specs.guest()
    create(host, guest, base, specs.maker())
    host.driver.disks.delete(guest.instance_id, specs.maker(action="action-2"))
    assert host.disk(guest.instance_id)["backing"] == base.path


def test_a_delete_removes_the_directory_whoever_made_it(host: Host, base: BaseImage) -> None:
    guest = specs.guest()
    create(host, guest, base, specs.maker())
    for _ in range(2):
        host.driver.disks.delete(guest.instance_id, None)
        assert not directory(host, guest).exists()
    assert Path(base.path).exists(), "base images outlive the disks on them"


def test_an_instance_id_that_leads_elsewhere_is_refused(host: Host) -> None:
    with pytest.raises(ValueError, match="UUID"):
        host.driver.disks.delete("../base", None)


def test_a_disk_that_stands_alone_has_no_base(host: Host, base: BaseImage) -> None:
    guest = specs.guest()
    host.driver.disks.create(guest, base, specs.maker(), specs.Listener(), stands_alone=True)
    disk = host.disk(guest.instance_id)
    assert (disk["size_bytes"], disk["backing"] or None) == (1024**3, None)
    assert InstanceFiles(host.config.instances_dir).bases_in_use() == set()
