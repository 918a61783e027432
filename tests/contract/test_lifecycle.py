"""Facets Lifecycle, Console, Inventory and Events: the guest itself, and what the host tells of it."""

from __future__ import annotations

import dataclasses
import queue
import uuid

import pytest

from hypervisor.errors import GuestNotFound, HypervisorFailed
from hypervisor.spec import GuestSpec, GuestState, ImageSource, Maker
from tests.contract import specs
from tests.contract.hosts import Host, load_host

RUNNING, SHUTDOWN = 1, 4
EVENT_SECONDS = 20


def prepare(host: Host, guest: GuestSpec, image: ImageSource, maker: Maker) -> None:
    base = host.driver.images.fetch(image, specs.Listener())
    host.driver.disks.create(guest, base, maker, specs.Listener())
    host.driver.interfaces.plug(guest, maker, specs.Listener())


def start(host: Host, guest: GuestSpec, maker: Maker) -> None:
    host.driver.lifecycle.start(guest, maker, specs.Listener())


@pytest.fixture
def guest(host: Host, image: ImageSource) -> GuestSpec:
    """A guest with a disk, a config drive and no port, not started."""
    made = specs.guest()
    prepare(host, made, image, specs.maker())
    return made


def state(guest: GuestSpec, power_state: int, action: str = "action-1") -> GuestState:
    return GuestState(instance_id=guest.instance_id, power_state=power_state, action_id=action)


def test_a_started_guest_runs_and_starting_it_again_changes_nothing(host: Host, guest: GuestSpec) -> None:
    assert host.driver.lifecycle.state(guest.instance_id) is None
    for _ in range(2):
        start(host, guest, specs.maker())
        assert host.driver.lifecycle.state(guest.instance_id) == state(guest, RUNNING)
        assert host.driver.lifecycle.guests().count(state(guest, RUNNING)) == 1


def test_a_guest_on_a_network_starts(host: Host, image: ImageSource) -> None:
    guest = specs.guest(specs.nic(specs.network()))
    prepare(host, guest, image, specs.maker())
    start(host, guest, specs.maker())
    assert host.driver.lifecycle.state(guest.instance_id) == state(guest, RUNNING)
    host.driver.lifecycle.remove(guest.instance_id, None)
    host.driver.interfaces.unplug(guest.instance_id, guest.nics, None)
    assert host.dhcp(guest.nics[0].network) is None


def test_a_guest_that_another_action_made_is_not_touched(host: Host, guest: GuestSpec) -> None:
    start(host, guest, specs.maker())
    with pytest.raises(HypervisorFailed, match="action-1"):
        start(host, guest, specs.maker(action="action-2"))
    host.driver.lifecycle.remove(guest.instance_id, specs.maker(action="action-2"))
    assert host.driver.lifecycle.state(guest.instance_id) == state(guest, RUNNING)


def test_the_same_action_with_other_inputs_builds_the_guest_anew(host: Host, guest: GuestSpec) -> None:
    start(host, guest, specs.maker())
    start(host, dataclasses.replace(guest, memory_mib=80), specs.maker(inputs="inputs-2"))
    assert host.driver.lifecycle.state(guest.instance_id) == state(guest, RUNNING)


def test_a_guest_that_stopped_before_its_step_was_recorded_is_started_again(host: Host, guest: GuestSpec) -> None:
    start(host, guest, specs.maker())
    host.stop_guest(guest.instance_id)
    assert host.driver.lifecycle.state(guest.instance_id) == state(guest, SHUTDOWN)
    start(host, guest, specs.maker())
    assert host.driver.lifecycle.state(guest.instance_id) == state(guest, RUNNING)


@pytest.mark.parametrize("maker", [None, specs.maker(), specs.maker(inputs="unknown by now")])
def test_a_removed_guest_is_gone_and_may_be_removed_again(host: Host, guest: GuestSpec, maker: Maker | None) -> None:
    start(host, guest, specs.maker())
    for _ in range(2):
        host.driver.lifecycle.remove(guest.instance_id, maker)
        assert host.driver.lifecycle.state(guest.instance_id) is None
        assert guest.instance_id not in {known.instance_id for known in host.driver.lifecycle.guests()}


def test_a_stopped_guest_can_be_removed(host: Host, guest: GuestSpec) -> None:
    start(host, guest, specs.maker())
    host.stop_guest(guest.instance_id)
    host.driver.lifecycle.remove(guest.instance_id, None)
    assert host.driver.lifecycle.state(guest.instance_id) is None


def test_a_guest_without_a_disk_does_not_start_and_its_undo_leaves_nothing(host: Host) -> None:
    guest = specs.guest(config_drive=None)
    with pytest.raises(HypervisorFailed):
        start(host, guest, specs.maker())
    host.driver.lifecycle.remove(guest.instance_id, specs.maker())
    assert host.driver.lifecycle.state(guest.instance_id) is None


def test_what_is_not_of_this_cloud_is_not_listed(host: Host, guest: GuestSpec) -> None:
    stranger = host.add_stranger()
    start(host, guest, specs.maker())
    listed = host.driver.lifecycle.guests()
    assert [known for known in listed if known.instance_id == guest.instance_id] == [state(guest, RUNNING)]
    assert stranger not in {known.instance_id for known in listed}


def test_a_guest_without_a_job_is_settled(host: Host, guest: GuestSpec) -> None:
    host.driver.lifecycle.settle(guest.instance_id)
    start(host, guest, specs.maker())
    host.driver.lifecycle.settle(guest.instance_id)
    assert host.driver.lifecycle.state(guest.instance_id) == state(guest, RUNNING)


def test_guests_survive_their_driver(host: Host, guest: GuestSpec) -> None:
    start(host, guest, specs.maker())
    other = load_host(host.driver.name, host.config.state_dir)
    try:
        assert other.driver.lifecycle.state(guest.instance_id) == state(guest, RUNNING)
        start(other, guest, specs.maker())
        assert state(guest, RUNNING) in other.driver.lifecycle.guests()
    finally:
        other.driver.close()


def test_the_console_shows_the_last_lines_that_the_guest_wrote(host: Host, guest: GuestSpec) -> None:
    assert host.driver.console.output(guest.instance_id, None) == ""
    log = host.config.instances_dir / guest.instance_id / "console.log"
    log.write_text("one\ntwo\nthree\n")
    assert host.driver.console.output(guest.instance_id, None) == "one\ntwo\nthree\n"
    assert host.driver.console.output(guest.instance_id, 2) == "two\nthree\n"
    assert host.driver.console.output(guest.instance_id, 0) == ""
    log.write_bytes(b"\xff" + b"x" * (2 * specs.MIB))
    assert len(host.driver.console.output(guest.instance_id, None)) == specs.MIB


def test_the_console_of_an_unknown_guest_is_not_found(host: Host) -> None:
    with pytest.raises(GuestNotFound):
        host.driver.console.output(str(uuid.uuid4()), None)


def test_the_inventory_says_what_the_host_has(host: Host) -> None:
    offered = host.driver.inventory.read()
    assert offered.vcpus > 0
    assert offered.memory_mib > offered.memory_mib_used >= 0
    assert offered.disk_gib >= offered.disk_gib_free > 0
    assert offered.architecture == "x86_64"
    assert offered.hypervisor_version > 0
    assert offered.hypervisor_type in ("QEMU", "KVM", "simulated")
    assert offered.hostname
    assert set(offered.cpu_info) == {"arch", "model", "vendor", "topology", "features"}


def test_hosts_that_share_their_storage_say_the_same_id(host: Host) -> None:
    again = load_host(host.driver.name, host.config.state_dir)
    try:
        assert host.driver.inventory.read().storage_id == again.driver.inventory.read().storage_id != ""
    finally:
        again.driver.close()


def test_events_tell_when_a_guest_starts_and_when_it_stops(host: Host, guest: GuestSpec) -> None:
    seen: queue.SimpleQueue[tuple[GuestState, str]] = queue.SimpleQueue()

    def handler(changed: GuestState, event: str) -> None:
        seen.put((changed, event))
        raise RuntimeError("a handler's failure is its own")

    def wait_for(*events: str) -> GuestState:
        while True:
            changed, name = seen.get(timeout=EVENT_SECONDS)
            assert changed.instance_id == guest.instance_id
            assert changed.action_id == "action-1"
            if name in events:
                return changed

    assert host.driver.events is not None
    host.driver.events.subscribe(handler)
    host.driver.inventory.read()  # the subscription needs a connection, which this waits for
    start(host, guest, specs.maker())
    assert wait_for("started").power_state == RUNNING
    host.driver.lifecycle.remove(guest.instance_id, None)
    # Where QEMU's end and libvirt's order to end meet, libvirt tells of the first alone.
    assert wait_for("stopped", "shutdown").power_state == SHUTDOWN
    assert wait_for("undefined").power_state == SHUTDOWN
