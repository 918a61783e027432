"""Facet Power: a guest that runs, and its memory. These guests never get past their firmware, which hears no ACPI."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hypervisor.errors import GuestOff
from hypervisor.spec import GuestSpec, ImageSource
from tests.contract import specs
from tests.contract.hosts import Host
from tests.contract.test_lifecycle import prepare, start

RUNNING, PAUSED, SHUTDOWN, CRASHED = 1, 3, 4, 6


@pytest.fixture
def guest(host: Host, image: ImageSource) -> GuestSpec:
    """A guest that runs."""
    made = specs.guest()
    prepare(host, made, image, specs.maker())
    start(host, made, specs.maker())
    return made


def seen(host: Host, guest: GuestSpec) -> tuple[int, str]:
    found = host.driver.lifecycle.state(guest.instance_id)
    assert found is not None
    return found.power_state, found.reason


def test_a_guest_is_paused_and_runs_on_in_the_same_run(host: Host, guest: GuestSpec) -> None:
    power, run = host.driver.power, host.driver.power.run(guest.instance_id)
    assert run
    for _ in range(2):
        power.pause(guest.instance_id)
        assert seen(host, guest) == (PAUSED, "user")
    assert power.run(guest.instance_id) == run
    for _ in range(2):
        power.unpause(guest.instance_id)
        assert seen(host, guest) == (RUNNING, "")
    assert power.run(guest.instance_id) == run


def test_a_guest_is_suspended_and_goes_on_in_another_run(host: Host, guest: GuestSpec) -> None:
    power, run = host.driver.power, host.driver.power.run(guest.instance_id)
    for _ in range(2):
        power.suspend(guest.instance_id, specs.Listener())
        assert seen(host, guest) == (SHUTDOWN, "saved")
    assert power.run(guest.instance_id) == ""
    for _ in range(2):
        assert power.resume(guest.instance_id, specs.Listener())
        assert seen(host, guest)[0] == RUNNING
    assert power.run(guest.instance_id) not in ("", run)


def test_without_saved_memory_nothing_is_resumed(host: Host, guest: GuestSpec) -> None:
    host.driver.lifecycle.stop(guest.instance_id, 0, specs.Listener())
    assert not host.driver.power.resume(guest.instance_id, specs.Listener())
    assert seen(host, guest)[0] == SHUTDOWN
    host.driver.lifecycle.remove(guest.instance_id, None)
    assert not host.driver.power.resume(guest.instance_id, specs.Listener())


def test_a_suspended_guest_that_is_made_anew_has_forgotten_its_memory(host: Host, guest: GuestSpec) -> None:
    host.driver.power.suspend(guest.instance_id, specs.Listener())
    other = specs.maker(action="action-2")
    host.driver.lifecycle.start(guest, other, specs.Listener(), replaces=True)
    host.driver.lifecycle.stop(guest.instance_id, 0, specs.Listener())
    assert not host.driver.power.resume(guest.instance_id, specs.Listener())


def test_a_guest_in_another_run_than_the_one_to_be_ended_was_rebooted_already(host: Host, guest: GuestSpec) -> None:
    run = host.driver.power.run(guest.instance_id)
    assert host.driver.power.reboot(guest.instance_id, "an earlier run", 60, specs.Listener())
    assert host.driver.power.run(guest.instance_id) == run


def test_a_guest_that_went_off_while_it_was_to_reboot_is_started(host: Host, guest: GuestSpec) -> None:
    run = host.driver.power.run(guest.instance_id)
    host.stop_guest(guest.instance_id)
    assert host.driver.power.reboot(guest.instance_id, run, 60, specs.Listener())
    assert seen(host, guest)[0] == RUNNING
    assert host.driver.power.run(guest.instance_id) not in ("", run)


def test_a_paused_guest_does_not_reboot_when_it_is_asked(host: Host, guest: GuestSpec) -> None:
    run = host.driver.power.run(guest.instance_id)
    host.driver.power.pause(guest.instance_id)
    assert not host.driver.power.reboot(guest.instance_id, run, 60, specs.Listener())
    assert seen(host, guest)[0] == PAUSED
    assert host.driver.power.run(guest.instance_id) == run


def test_a_guest_that_hears_no_acpi_runs_on(host: Host, guest: GuestSpec) -> None:
    host.deafen(guest.instance_id)
    run = host.driver.power.run(guest.instance_id)
    assert not host.driver.power.reboot(guest.instance_id, run, 1, specs.Listener())
    assert seen(host, guest)[0] == RUNNING
    assert host.driver.power.run(guest.instance_id) == run


def test_a_guest_can_be_interrupted(host: Host, guest: GuestSpec) -> None:
    host.driver.power.interrupt(guest.instance_id)
    assert seen(host, guest)[0] == RUNNING


@pytest.mark.parametrize("is_defined", [True, False], ids=["off", "not there"])
def test_a_guest_that_is_off_is_refused_what_needs_a_running_one(
    host: Host, guest: GuestSpec, is_defined: bool
) -> None:
    if is_defined:
        host.driver.lifecycle.stop(guest.instance_id, 0, specs.Listener())
    else:
        host.driver.lifecycle.remove(guest.instance_id, None)
    power = host.driver.power
    assert power.run(guest.instance_id) == ""
    calls: list[Callable[[], object]] = [
        lambda: power.pause(guest.instance_id),
        lambda: power.unpause(guest.instance_id),
        lambda: power.suspend(guest.instance_id, specs.Listener()),
        lambda: power.interrupt(guest.instance_id),
    ]
    for call in calls:
        with pytest.raises(GuestOff, match=guest.instance_id):
            call()


def test_a_guest_says_why_it_is_off(host: Host, guest: GuestSpec) -> None:
    host.driver.lifecycle.stop(guest.instance_id, 0, specs.Listener())
    assert seen(host, guest) == (SHUTDOWN, "destroyed")
    start(host, guest, specs.maker())
    assert seen(host, guest) == (RUNNING, "")
    host.crash_guest(guest.instance_id)
    assert seen(host, guest) == (CRASHED, "crashed")
    host.driver.lifecycle.stop(guest.instance_id, 0, specs.Listener())
    start(host, guest, specs.maker())
    assert seen(host, guest) == (RUNNING, "")


def test_a_host_says_the_same_boot_until_it_is_rebooted(host: Host) -> None:
    boot = host.driver.inventory.read().boot_id
    assert boot
    assert host.driver.inventory.read().boot_id == boot
