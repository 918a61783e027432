"""Facets KeptDisks and RescueDisks, and what of Disks, Interfaces and Lifecycle the verbs need that change disks."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.abandon import abandon
from hypervisor.driver import BaseImage
from hypervisor.errors import DiskMissing
from hypervisor.spec import GuestSpec, ImageSource
from tests.contract import specs
from tests.contract.hosts import Host, load_host
from tests.contract.image_server import ImageServer

RUNNING, SHUTDOWN = 1, 4
OLD, NEW = specs.maker(), specs.maker(action="action-2")


@pytest.fixture
def base(host: Host, image: ImageSource) -> BaseImage:
    return host.driver.images.fetch(image, specs.Listener())


@pytest.fixture
def guest(host: Host, base: BaseImage) -> GuestSpec:
    """A guest with a disk and a config drive, not started."""
    made = specs.guest()
    host.driver.disks.create(made, base, OLD, specs.Listener())
    return made


def directory(host: Host, guest: GuestSpec) -> Path:
    return host.config.instances_dir / guest.instance_id


def contents(host: Host, guest: GuestSpec) -> dict[str, tuple[int, int]]:
    """Each file of the instance with its inode and size: the very same files, or others. What is signed may be written
    anew."""
    found = {path.relative_to(directory(host, guest)): path for path in directory(host, guest).rglob("*")}
    return {
        str(name): (0, len(path.read_bytes()))
        if name.name == "made.json"
        else (path.stat().st_ino, path.stat().st_size)
        for name, path in found.items()
    }


def renew(host: Host, guest: GuestSpec, base: BaseImage) -> GuestSpec:
    """The rebuild's step: the old disk aside, a new and larger one in its place."""
    made = dataclasses.replace(guest, disk_gib=2)
    host.driver.kept_disks.set_aside(guest.instance_id, NEW)
    host.driver.disks.create(made, base, NEW, specs.Listener())
    return made


# --- the old disk aside -----------------------------------------------------------------------------------------------


def test_the_disk_that_was_set_aside_is_put_back_with_its_maker(host: Host, guest: GuestSpec, base: BaseImage) -> None:
    before, signed = contents(host, guest), (directory(host, guest) / "made.json").read_text()
    for _ in range(2):
        renew(host, guest, base)
    assert host.disk(guest.instance_id)["size_bytes"] == 2 * 1024**3
    for _ in range(2):
        host.driver.kept_disks.put_back(guest.instance_id, NEW)
    assert contents(host, guest) == before
    assert (directory(host, guest) / "made.json").read_text() == signed


def test_nothing_aside_is_nothing_to_put_back(host: Host, guest: GuestSpec) -> None:
    before = contents(host, guest)
    host.driver.kept_disks.put_back(guest.instance_id, NEW)
    assert contents(host, guest) == before


def test_a_config_drive_that_was_not_there_before_goes_when_the_old_disk_is_put_back(
    host: Host, guest: GuestSpec, base: BaseImage
) -> None:
    bare = dataclasses.replace(guest, config_drive=None)
    host.driver.disks.create(bare, base, specs.maker(inputs="bare"), specs.Listener())
    before = contents(host, guest)
    renew(host, guest, base)
    assert (directory(host, guest) / "disk.config").exists()
    host.driver.kept_disks.put_back(guest.instance_id, NEW)
    assert contents(host, guest) == before


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("doing", ["set_aside", "put_back"])
def test_an_interruption_at_any_file_is_made_up_for(
    host: Host, guest: GuestSpec, base: BaseImage, doing: str, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(host, guest)
    if doing == "put_back":
        renew(host, guest, base)
    left = [at]

    def dying(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **named: object) -> object:
            left[0] -= 1
            if left[0] == -1:
                raise KeyboardInterrupt
            return real(*args, **named)

        return call

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        for name in ("rename", "replace", "unlink"):
            patch.setattr(os, name, dying(getattr(os, name)))
        getattr(host.driver.kept_disks, doing)(guest.instance_id, NEW)
    if doing == "set_aside":
        renew(host, guest, base)
        assert host.disk(guest.instance_id)["size_bytes"] == 2 * 1024**3
    host.driver.kept_disks.put_back(guest.instance_id, NEW)
    assert contents(host, guest) == before


def test_what_is_forgotten_is_gone_and_known_to_be(host: Host, guest: GuestSpec, base: BaseImage) -> None:
    assert not host.driver.kept_disks.is_forgotten(guest.instance_id, NEW)
    renew(host, guest, base)
    assert not host.driver.kept_disks.is_forgotten(guest.instance_id, NEW)
    for _ in range(2):
        host.driver.kept_disks.forget(guest.instance_id, NEW)
        assert host.driver.kept_disks.is_forgotten(guest.instance_id, NEW)
    assert sorted(contents(host, guest)) == ["disk", "disk.config", "made.json"]
    host.driver.kept_disks.put_back(guest.instance_id, NEW)
    assert host.disk(guest.instance_id)["size_bytes"] == 2 * 1024**3


def test_a_base_under_a_disk_that_is_aside_is_not_pruned(
    host: Host, guest: GuestSpec, base: BaseImage, image_server: ImageServer
) -> None:
    image_server.content = b"\1" * specs.MIB
    other = host.driver.images.fetch(specs.image(image_server.content, image_server.url), specs.Listener())
    renew(host, guest, other)
    pruned = host.driver.images.prune(-1)  # type: ignore[attr-defined]
    assert pruned == []
    host.driver.kept_disks.forget(guest.instance_id, NEW)
    assert host.driver.images.prune(-1) == [base.path]  # type: ignore[attr-defined]


# --- the rescue disk --------------------------------------------------------------------------------------------------


def rescued(guest: GuestSpec, image: ImageSource) -> GuestSpec:
    assert guest.config_drive is not None
    told = dataclasses.replace(guest.config_drive, meta_data={"uuid": guest.instance_id, "admin_pass": "secret-1"})
    return dataclasses.replace(guest, rescue=image, config_drive=told)


def test_a_rescue_disk_stands_beside_the_instances_own(
    host: Host, guest: GuestSpec, base: BaseImage, image: ImageSource
) -> None:
    before = contents(host, guest)
    for _ in range(2):
        host.driver.rescue_disks.create(rescued(guest, image), base, NEW, specs.Listener())
    after = contents(host, guest)
    assert {name: after[name] for name in before} == before
    assert sorted(set(after) - set(before)) == ["disk.rescue", "disk.rescue.config", "rescue.json"]
    assert host.driver.rescue_disks.are_there(guest.instance_id)
    assert b"admin_pass" not in host.config_drive_file(guest.instance_id, "meta_data.json")


def test_a_rescue_disk_is_removed_by_its_own_action_or_by_all_means(
    host: Host, guest: GuestSpec, base: BaseImage, image: ImageSource
) -> None:
    before = contents(host, guest)
    for maker in (NEW, None):
        host.driver.rescue_disks.create(rescued(guest, image), base, NEW, specs.Listener())
        host.driver.rescue_disks.delete(guest.instance_id, OLD)
        assert host.driver.rescue_disks.are_there(guest.instance_id)
        for _ in range(2):
            host.driver.rescue_disks.delete(guest.instance_id, maker)
            assert contents(host, guest) == before


def test_a_rescued_guest_boots_from_the_rescue_disk_and_is_defined_from_its_own_again(
    host: Host, guest: GuestSpec, base: BaseImage, image: ImageSource
) -> None:
    lifecycle = host.driver.lifecycle
    lifecycle.start(guest, OLD, specs.Listener())
    assert host.disks_of_guest(guest.instance_id) == ["disk"]
    host.driver.rescue_disks.create(rescued(guest, image), base, NEW, specs.Listener())
    lifecycle.start(rescued(guest, image), NEW, specs.Listener(), replaces=True)
    assert host.disks_of_guest(guest.instance_id) == ["disk.rescue", "disk"]
    lifecycle.define(guest, NEW, specs.Listener())
    assert host.disks_of_guest(guest.instance_id) == ["disk"]


# --- defined and off --------------------------------------------------------------------------------------------------


def test_a_defined_guest_is_off_whatever_it_was(host: Host, guest: GuestSpec) -> None:
    lifecycle = host.driver.lifecycle
    for maker in (OLD, OLD, NEW):
        lifecycle.define(guest, maker, specs.Listener())
        state = lifecycle.state(guest.instance_id)
        assert state is not None
        assert (state.power_state, state.action_id) == (SHUTDOWN, maker.action_id)
        lifecycle.start(guest, maker, specs.Listener(), replaces=True)
        state = lifecycle.state(guest.instance_id)
        assert state is not None
        assert state.power_state == RUNNING


# --- taken over, and abandoned ----------------------------------------------------------------------------------------


def test_a_disk_that_is_taken_over_stays_its_makers(host: Host, guest: GuestSpec) -> None:
    before = contents(host, guest)
    host.driver.disks.take_over(guest.instance_id)
    host.driver.disks.delete(guest.instance_id, NEW)  # the undo of who took it over
    assert contents(host, guest) == before


def test_a_disk_that_is_not_there_is_not_taken_over(host: Host) -> None:
    guest = specs.guest()
    with pytest.raises(DiskMissing, match=guest.instance_id):
        host.driver.disks.take_over(guest.instance_id)
    assert not directory(host, guest).exists()


@pytest.mark.parametrize("keeps_disk", [False, True])
def test_what_is_abandoned_leaves_no_guest_and_no_port_and_keeps_its_disk_when_told(
    host: Host, base: BaseImage, keeps_disk: bool
) -> None:
    network = specs.network()
    lost, own = specs.guest(specs.nic(network, 10)), specs.guest(specs.nic(network, 11))
    for guest in (lost, own):
        host.driver.disks.create(guest, base, OLD, specs.Listener())
        host.driver.interfaces.plug(guest, OLD, specs.Listener())
    host.driver.lifecycle.start(lost, OLD, specs.Listener())
    before = set(contents(host, lost)) - {"console.log"}
    assert [(nic.port_id, nic.ip) for nic in host.driver.interfaces.plugged(lost.instance_id)] == [
        (nic.port_id, nic.ip) for nic in lost.nics
    ]
    for _ in range(2):
        abandon(host.driver, lost.instance_id, keeps_disk=keeps_disk)
        assert host.driver.lifecycle.state(lost.instance_id) is None
        assert host.dhcp(network) == {(own.nics[0].mac, own.nics[0].ip)}
        assert directory(host, lost).exists() == keeps_disk
    if keeps_disk:
        assert set(contents(host, lost)) - {"console.log"} == before
    abandon(host.driver, own.instance_id, keeps_disk=False)
    assert host.dhcp(network) is None


def test_a_new_worker_finds_what_was_set_aside(host: Host, guest: GuestSpec, base: BaseImage) -> None:
    before = contents(host, guest)
    renew(host, guest, base)
    again = load_host(host.driver.name, host.config.state_dir)
    try:
        again.driver.kept_disks.put_back(guest.instance_id, NEW)
    finally:
        again.driver.close()
    assert contents(host, guest) == before
    assert json.loads((directory(host, guest) / "made.json").read_text())["action"] == OLD.action_id
