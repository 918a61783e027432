"""What the verbs of the facet Power do to a real guest, seen from inside it: heartbeats, boot counter, interrupts.

One booted guest is shared; each test leaves it running. The times are printed (`-s` shows them).
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import libvirt
import pytest

from tests.contract import specs
from tests.contract.hosts import LibvirtHost, load_host
from tests.contract.tiny_guest import TinyGuest, running, wait_for

pytestmark = pytest.mark.real

FILL = b"""#!/bin/sh
dd if=/dev/urandom of=/data/full bs=64k count=96 conv=fsync
echo "tiny: filled"
"""
SAVE_DIR = Path("/var/lib/libvirt/qemu/save")


@pytest.fixture(scope="module")
def guest(real_libvirt: str) -> Iterator[TinyGuest]:
    with tempfile.TemporaryDirectory(prefix="kn-power-", ignore_cleanup_errors=True) as made:
        os.chmod(made, 0o711)
        host = load_host("libvirt", Path(made))
        assert isinstance(host, LibvirtHost)
        try:
            with running(host) as tiny:
                yield tiny
        finally:
            host.clean()


@contextmanager
def timed(verb: str) -> Iterator[None]:
    begun = time.monotonic()
    yield
    print(f"\ntime of {verb}: {time.monotonic() - begun:.2f} s")


def let_pass(seconds: float) -> None:
    """That nothing happens can only be seen over time."""
    threading.Event().wait(seconds)


def test_a_paused_guest_does_not_tick_and_goes_on_where_it_was(guest: TinyGuest) -> None:
    power = guest.host.driver.power
    with timed("pause"):
        power.pause(guest.id)
    let_pass(1)  # what was written is in the log
    before, spent = guest.uptime(), guest.domain().info()[4]
    let_pass(5)
    assert guest.uptime() == before
    assert guest.domain().info()[4] - spent < 50_000_000, "a paused guest used the CPU"
    with timed("unpause"):
        power.unpause(guest.id)
    assert guest.wait_for_ticks(before) < before + 5, "the guest's own clock went on while it was paused"


def test_a_suspended_guest_goes_on_with_its_uptime_and_leaves_no_file(guest: TinyGuest) -> None:
    power, before, boots = guest.host.driver.power, guest.uptime(), guest.boots()
    saved = SAVE_DIR / f"{guest.spec.name}.save"
    with timed("suspend"):
        power.suspend(guest.id, specs.Listener())
    assert guest.domain().hasManagedSaveImage()
    assert saved.exists()
    with timed("resume"):
        assert power.resume(guest.id, specs.Listener())
    assert not guest.domain().hasManagedSaveImage()
    assert not saved.exists()
    guest.wait_for_ticks(before)
    assert guest.boots() == boots, "the guest booted"


def test_a_soft_reboot_boots_the_same_disk_and_keeps_the_domain(guest: TinyGuest) -> None:
    boots, power = guest.boots(), guest.host.driver.power
    definition = guest.domain().XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    with timed("soft reboot, until the new run began"):
        assert power.reboot(guest.id, power.run(guest.id), 120, specs.Listener())
    with timed("its boot"):
        guest.wait_for_boot(boots + 1)
    assert guest.domain().XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE) == definition


def test_a_guest_gets_its_nmi(guest: TinyGuest) -> None:
    before = guest.interrupts()
    with timed("crash dump trigger"):
        guest.host.driver.power.interrupt(guest.id)
    wait_for("the NMI", lambda: guest.interrupts() == before + 1, guest.console, 60)


def test_a_guest_that_hears_acpi_goes_off_by_itself(guest: TinyGuest) -> None:
    lifecycle = guest.host.driver.lifecycle
    with timed("stop by ACPI"):
        lifecycle.stop(guest.id, 120, specs.Listener())
    state = lifecycle.state(guest.id)
    assert state is not None
    assert (state.power_state, state.reason) == (4, "shutdown")
    boots = guest.boots()
    with timed("start"):
        lifecycle.start(guest.spec, specs.maker(), specs.Listener())
    guest.wait_for_boot(boots + 1)


def test_a_guest_that_is_paused_is_ended_at_once_by_a_stop(guest: TinyGuest) -> None:
    lifecycle = guest.host.driver.lifecycle
    guest.host.driver.power.pause(guest.id)
    lifecycle.stop(guest.id, 600, specs.Listener())
    state = lifecycle.state(guest.id)
    assert state is not None
    assert (state.power_state, state.reason) == (4, "destroyed")


def test_a_suspended_guest_that_is_made_anew_boots_and_one_that_is_removed_leaves_no_file(guest: TinyGuest) -> None:
    lifecycle, power, boots = guest.host.driver.lifecycle, guest.host.driver.power, guest.boots()
    lifecycle.start(guest.spec, specs.maker(), specs.Listener())
    guest.wait_for_boot(boots + 1)
    power.suspend(guest.id, specs.Listener())
    lifecycle.start(guest.spec, specs.maker(action="action-2"), specs.Listener(), replaces=True)
    guest.wait_for_boot(boots + 2)
    power.suspend(guest.id, specs.Listener())
    lifecycle.remove(guest.id, None)
    assert not (SAVE_DIR / f"{guest.spec.name}.save").exists()
    assert lifecycle.state(guest.id) is None


def test_a_guest_that_hears_no_acpi_is_ended_after_the_time(libvirt_host: LibvirtHost) -> None:
    """Its disk is empty: it stays in its firmware."""
    deaf = specs.guest(config_drive=None)
    disk = libvirt_host.config.instances_dir / deaf.instance_id / "disk"
    disk.parent.mkdir(mode=0o711)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "1M"], check=True)
    libvirt_host.driver.lifecycle.start(deaf, specs.maker(), specs.Listener())
    begun, listener = time.monotonic(), specs.Listener()
    libvirt_host.driver.lifecycle.stop(deaf.instance_id, 3, listener)
    assert 3 <= time.monotonic() - begun < 30
    assert listener.calls > 5, "whoever waits must hear that the step lives"
    state = libvirt_host.driver.lifecycle.state(deaf.instance_id)
    assert state is not None
    assert (state.power_state, state.reason) == (4, "destroyed")


@pytest.fixture
def cramped_host(real_libvirt: str, state_dir: Path) -> Iterator[LibvirtHost]:
    """A host with 3 MiB of room for the disks of its instances."""
    instances = state_dir / "instances"
    instances.mkdir(mode=0o711)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m,mode=711", "tmpfs", str(instances)], check=True)
    host = load_host("libvirt", state_dir)
    assert isinstance(host, LibvirtHost)
    try:
        yield host
    finally:
        host.clean()
        subprocess.run(["umount", "-l", str(instances)], check=True)


def test_a_guest_whose_disk_cannot_grow_is_paused_says_why_and_runs_on_when_it_can(cramped_host: LibvirtHost) -> None:
    with running(cramped_host, FILL, is_booted=False) as guest:

        def seen() -> tuple[int, str]:
            state = cramped_host.driver.lifecycle.state(guest.id)
            assert state is not None
            return state.power_state, state.reason

        wait_for("the pause", lambda: seen() == (3, "io_error"), guest.console)
        larger = ["mount", "-o", "remount,size=40m", str(cramped_host.config.instances_dir)]
        subprocess.run(larger, check=True)
        cramped_host.driver.power.unpause(guest.id)
        wait_for("the rest of what it writes", lambda: "tiny: filled" in guest.console(), guest.console)
        assert seen() == (1, "")
