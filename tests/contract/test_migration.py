"""Facet Migration, as far as one host can show it; two are in `tests/operations` and `tests/rig`."""

from __future__ import annotations

import dataclasses

import pytest

from hypervisor.driver import BaseImage, Migration
from hypervisor.errors import GuestNotFound
from hypervisor.migration import CopyPlan, MigrationFailed, MigrationOrder, MigrationRefused, Wish
from hypervisor.spec import GuestSpec, ImageSource
from tests.contract import specs
from tests.contract.hosts import Host

RUNNING, SHUTDOWN = 1, 4
GIB = 1024**3
HERE = MigrationOrder(destination="contract-host")


@pytest.fixture
def base(host: Host, image: ImageSource) -> BaseImage:
    return host.driver.images.fetch(image, specs.Listener())


@pytest.fixture
def guest(host: Host, base: BaseImage) -> GuestSpec:
    """A guest that runs, made by action-1."""
    guest = specs.guest(specs.nic(specs.network()))
    host.driver.disks.create(guest, base, specs.maker(), specs.Listener())
    host.driver.interfaces.plug(guest, specs.maker(), specs.Listener())
    host.driver.lifecycle.start(guest, specs.maker(), specs.Listener())
    return guest


def migration(host: Host) -> Migration:
    assert host.driver.migration is not None
    return host.driver.migration


def power_state(host: Host, guest: GuestSpec) -> int | None:
    state = host.driver.lifecycle.state(guest.instance_id)
    return state.power_state if state else None


def test_the_source_tells_what_a_destination_must_know(host: Host, guest: GuestSpec, base: BaseImage) -> None:
    told, offered = migration(host).describe(guest.instance_id), host.driver.inventory.read()
    assert (told.disk_bytes, told.backing, told.storage_id) == (GIB, base.path, offered.storage_id)
    assert (told.hypervisor_type, told.hypervisor_version) == (offered.hypervisor_type, offered.hypervisor_version)
    host.stop_guest(guest.instance_id)
    with pytest.raises(GuestNotFound):
        migration(host).describe(guest.instance_id)


def test_a_host_can_take_what_runs_on_its_like_and_says_why_it_cannot_otherwise(host: Host, guest: GuestSpec) -> None:
    source = migration(host).describe(guest.instance_id)
    migration(host).check(guest, source, is_shared=True)
    with pytest.raises(MigrationRefused, match="storage"):
        migration(host).check(guest, source, is_shared=False)
    with pytest.raises(MigrationRefused, match="OtherVisor"):
        migration(host).check(guest, dataclasses.replace(source, hypervisor_type="OtherVisor"), is_shared=True)


def test_a_disk_is_prepared_on_the_base_or_for_a_whole_copy(host: Host, guest: GuestSpec, base: BaseImage) -> None:
    source = migration(host).describe(guest.instance_id)
    for known, copy, backing in ((base, CopyPlan.INCREMENTAL, base.path), (None, CopyPlan.FULL, None)):
        coming = specs.guest()
        for _ in range(2):
            made = migration(host).prepare(coming, source, known, specs.maker(), specs.Listener())
            assert made == copy
        disk = host.disk(coming.instance_id)
        assert (disk["size_bytes"], disk.get("backing") or None) == (GIB, backing)
        assert b"#!/bin/sh" in host.config_drive_file(coming.instance_id, "user_data")
        host.driver.disks.delete(coming.instance_id, specs.maker())


def test_a_guest_that_is_on_is_neither_expected_nor_turned_away(host: Host, guest: GuestSpec) -> None:
    source = migration(host).describe(guest.instance_id)
    with pytest.raises(MigrationRefused, match="already"):
        migration(host).expect(guest.instance_id, source, is_shared=True)
    with pytest.raises(MigrationFailed, match="arrived"):
        migration(host).turn_away(guest.instance_id, specs.maker())
    migration(host).turn_away(guest.instance_id, specs.maker(action="action-2"))
    assert power_state(host, guest) == RUNNING


def test_what_is_left_of_a_guest_that_is_off_makes_way(host: Host, guest: GuestSpec) -> None:
    source = migration(host).describe(guest.instance_id)
    host.stop_guest(guest.instance_id)
    for _ in range(2):
        migration(host).expect(guest.instance_id, source, is_shared=True)
        assert power_state(host, guest) is None


def test_the_destination_knows_a_guest_that_came_by_who_made_it(host: Host, guest: GuestSpec) -> None:
    assert migration(host).has_moved(guest.instance_id, HERE, specs.maker())
    assert not migration(host).has_moved(guest.instance_id, HERE, specs.maker(action="action-2"))
    for _ in range(2):
        assert isinstance(migration(host).arrive(guest, HERE, specs.maker()), dict)
        assert power_state(host, guest) == RUNNING
    host.stop_guest(guest.instance_id)
    host.driver.lifecycle.remove(guest.instance_id, None)
    assert not migration(host).has_moved(guest.instance_id, HERE, specs.maker())


def test_a_guest_that_cannot_be_sent_goes_on(host: Host, guest: GuestSpec) -> None:
    nowhere = MigrationOrder(destination="nowhere.invalid")
    with pytest.raises(MigrationFailed, match=r"nowhere\.invalid"):
        migration(host).send(guest, nowhere, specs.maker(action="action-2"), specs.Listener())
    assert power_state(host, guest) == RUNNING
    assert not migration(host).has_moved(guest.instance_id, nowhere, specs.maker(action="action-2"))


@pytest.mark.parametrize("is_shared", [True, False])
def test_what_a_guest_leaves_is_removed_but_for_shared_files(host: Host, guest: GuestSpec, is_shared: bool) -> None:
    directory = host.config.instances_dir / guest.instance_id
    for _ in range(2):
        migration(host).leave(guest.instance_id, guest.nics, is_shared=is_shared)
        assert power_state(host, guest) is None
        assert host.dhcp(guest.nics[0].network) is None
        assert directory.exists() == is_shared


def test_a_wish_that_nobody_hears_is_forgotten(host: Host, guest: GuestSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypervisor.migration.Wishes.ask.__defaults__", (0.2,))
    assert not migration(host).steer(guest.instance_id, "action-9", Wish.ABORT)
    assert list((host.config.state_dir / "wishes").iterdir()) == []
    assert power_state(host, guest) == RUNNING
