"""The simulated driver beyond the contract: faults on order, sizes from the environment, what it does not do."""

from __future__ import annotations

import json
import queue
import time
from pathlib import Path

import pytest

from hypervisor.config import HostConfig
from hypervisor.errors import HypervisorFailed, NoSpace, Superseded
from hypervisor.simulated.driver import SimulatedDriver
from hypervisor.simulated.faults import Faults
from hypervisor.spec import GuestSpec
from tests.contract import specs


def make(tmp_path: Path, faults: Faults | None = None) -> SimulatedDriver:
    config = HostConfig(name="sim-1", key="k", broker_url="", state_dir=tmp_path, driver="simulated")
    return SimulatedDriver(config, faults)


def create(driver: SimulatedDriver, guest: GuestSpec) -> None:
    base = driver.images.fetch(guest.image, specs.Listener())
    driver.disks.create(guest, base, specs.maker(), specs.Listener())


def test_no_image_is_downloaded(tmp_path: Path) -> None:
    guest = specs.guest()
    base = make(tmp_path).images.fetch(guest.image, specs.Listener())
    assert base.virtual_size_bytes == guest.image.virtual_size_bytes
    assert Path(base.path).stat().st_size < 1000


def test_a_planned_fault_comes_as_often_as_it_says(tmp_path: Path) -> None:
    faults = Faults({"disks.create": {"error": "NoSpace", "count": 2}})
    driver, guest = make(tmp_path, faults), specs.guest()
    for _ in range(2):
        with pytest.raises(NoSpace):
            create(driver, guest)
        assert not (tmp_path / "instances" / guest.instance_id).exists()
    create(driver, guest)


def test_a_fault_after_the_effect_leaves_the_effect(tmp_path: Path) -> None:
    driver, guest = make(tmp_path), specs.guest()
    driver.faults.plan("lifecycle.start", error="HypervisorFailed", message="power went", when="after", count=1)
    create(driver, guest)
    with pytest.raises(HypervisorFailed, match="power went"):
        driver.lifecycle.start(guest, specs.maker(), specs.Listener())
    assert driver.lifecycle.state(guest.instance_id) is not None


def test_faults_in_the_file_are_met_and_counted_down_across_drivers(tmp_path: Path) -> None:
    driver, other, guest = make(tmp_path), make(tmp_path), specs.guest()
    file = tmp_path / "simulated" / "faults.json"
    file.write_text(json.dumps({"disks.create": {"error": "NoSpace", "count": 2}}))
    for each in (driver, other):
        with pytest.raises(NoSpace):
            create(each, guest)
    create(driver, guest)
    file.write_text(json.dumps({"disks.create": {"error": "HypervisorFailed"}}))
    for _ in range(3):
        with pytest.raises(HypervisorFailed):
            create(driver, specs.guest())


def test_a_delay_tells_that_it_lives_and_can_be_superseded(tmp_path: Path) -> None:
    driver, guest = make(tmp_path), specs.guest()
    driver.faults.plan("disks.create", delay=600)
    base = driver.images.fetch(guest.image, specs.Listener())
    listener = specs.Listener()
    listener.raises = Superseded()
    started = time.monotonic()
    with pytest.raises(Superseded):
        driver.disks.create(guest, base, specs.maker(), listener)
    assert time.monotonic() - started < 60


def test_a_fault_with_an_unknown_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="NoSuchError"):
        create(make(tmp_path, Faults({"images.fetch": {"error": "NoSuchError"}})), specs.guest())


def test_the_host_is_as_large_as_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SIMULATED_VCPUS": "8", "SIMULATED_MEMORY_MIB": "1024", "SIMULATED_DISK_GIB": "50"}.items():
        monkeypatch.setenv(name, value)
    driver, guest = make(tmp_path), specs.guest(memory_mib=100)
    create(driver, guest)
    driver.lifecycle.start(guest, specs.maker(), specs.Listener())
    offered = driver.inventory.read()
    assert (offered.vcpus, offered.memory_mib, offered.disk_gib, offered.memory_mib_used) == (8, 1024, 50, 100)


def test_a_guest_on_a_network_that_was_not_plugged_does_not_start(tmp_path: Path) -> None:
    driver, guest = make(tmp_path), specs.guest(specs.nic(specs.network()))
    create(driver, guest)
    with pytest.raises(HypervisorFailed, match=guest.nics[0].network.bridge):
        driver.lifecycle.start(guest, specs.maker(), specs.Listener())


def test_a_guest_that_stops_by_itself_is_told(tmp_path: Path) -> None:
    driver, guest = make(tmp_path), specs.guest()
    seen: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
    driver.events.subscribe(lambda state, event: seen.put((state.power_state, event)))
    create(driver, guest)
    driver.lifecycle.start(guest, specs.maker(), specs.Listener())
    driver.lifecycle.set_power_state(guest.instance_id, 4, "shutdown")
    assert [seen.get(timeout=10) for _ in range(2)] == [(1, "started"), (4, "shutdown")]


def test_the_console_shows_a_boot(tmp_path: Path) -> None:
    driver, guest = make(tmp_path), specs.guest()
    create(driver, guest)
    driver.lifecycle.start(guest, specs.maker(), specs.Listener())
    assert f"uuid={guest.instance_id}" in driver.console.output(guest.instance_id, None)
    assert driver.console.output(guest.instance_id, 1) == "simulated: BOOT-OK\n"


def test_a_boot_and_a_delete_leave_no_file_but_the_cache(tmp_path: Path) -> None:
    driver, guest = make(tmp_path), specs.guest(specs.nic(specs.network()))
    create(driver, guest)
    driver.interfaces.plug(guest, specs.maker(), specs.Listener())
    driver.lifecycle.start(guest, specs.maker(), specs.Listener())
    driver.lifecycle.remove(guest.instance_id, None)
    driver.interfaces.unplug(guest.instance_id, guest.nics, None)
    driver.disks.delete(guest.instance_id, None)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [guest.image.sha512]
