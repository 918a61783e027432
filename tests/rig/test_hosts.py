"""The rig itself: three hosts that are three machines to each other, and to the cloud."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.rig.rig import TICK, WRITER, Rig

pytestmark = [pytest.mark.rig, pytest.mark.real]

Boot = Callable[..., str]


def test_each_host_is_a_machine_of_its_own_and_reaches_the_others_by_name(rig: Rig) -> None:
    names = [rig.run(host, "hostname").strip() for host in rig.hosts]
    assert names == rig.hosts == ["h1", "h2", "h3"]
    uuids = {rig.virsh(host, "capabilities").split("<uuid>")[1].split("<")[0] for host in rig.hosts}
    assert len(uuids) == 3
    for host in rig.hosts:
        for other in rig.hosts:
            assert rig.run(host, "virsh", "-c", f"qemu+tcp://{other}/system", "hostname").strip() == other


def test_hosts_with_one_storage_say_so_and_the_others_do_not(rig: Rig) -> None:
    ids = {host: (rig.host(host).instances / "storage-id").read_text() for host in rig.hosts}
    assert ids["h1"] == ids["h2"] != ids["h3"]
    seen = {host: rig.run(host, "cat", f"{rig.plan.state_path}/instances/storage-id") for host in rig.hosts}
    assert seen == ids


def test_tunnels_between_hosts_can_be_made_inside_them(rig: Rig) -> None:
    for host, other in (("h1", "h2"), ("h2", "h1")):
        ours, theirs = rig.host(host), rig.host(other)
        where = ("id", "77", "local", ours.address, "remote", theirs.address, "dstport", "4789", "dev", "eth0")
        rig.run(host, "ip", "link", "add", "vx77", "type", "vxlan", *where)
        rig.run(host, "ip", "addr", "add", f"198.51.100.{ours.number}/24", "dev", "vx77")
        rig.run(host, "ip", "link", "set", "vx77", "up")
    try:
        assert "1 received" in rig.run("h1", "ping", "-c", "1", "-W", "5", "198.51.100.2")
    finally:
        for host in ("h1", "h2"):
            rig.run(host, "ip", "link", "del", "vx77")


def test_a_server_for_a_host_is_on_that_host_alone_and_its_delete_leaves_nothing(rig: Rig, boot: Boot) -> None:
    servers = {host: boot(f"on-{host}", host, is_booted=False) for host in rig.hosts}
    for host, server in servers.items():
        rig.guest_says(server, r"BOOT-OK")
        assert rig.host_of(server) == host
        assert rig.where(server) == {host: "running"}
        assert {"disk", "disk.config", "console.log"} <= set(rig.files(host, server))
    assert rig.files("h3", servers["h1"]) == [] == rig.files("h1", servers["h3"])
    assert rig.invariants() == []
    rig.delete(*servers.values())
    for server in servers.values():
        assert rig.left_of(server) == []


def test_a_power_loss_ends_worker_libvirt_and_guests_at_once_and_power_brings_the_host_back(
    rig: Rig, boot: Boot
) -> None:
    victim, witness = boot("victim", "h2"), boot("witness", "h1")
    rig.crash("h2")
    said = rig.console(victim, "h2")
    assert not rig.has_power("h2")
    assert rig.domains("h2") == {}
    rig.wait_down("h2", timeout=30)
    assert rig.service_state("h1") == rig.service_state("h3") == "up"
    rig.guest_says(witness, TICK, after=len(rig.console(witness)))
    assert rig.console(victim, "h2") == said, "a guest of a host without power still writes"
    rig.start("h2")
    assert rig.service_state("h2") == "up"
    assert victim in rig.domains("h2"), "what is on the host's disk outlives a power loss"


def test_what_the_guest_said_that_it_wrote_is_on_its_disk_when_it_boots_again(rig: Rig, boot: Boot) -> None:
    server = boot("writer", "h3", user_data=WRITER)
    rig.guest_says(server, r"number 5\b")
    last = int(re.findall(r"tiny: number (\d+)", rig.console(server))[-1])
    before = len(rig.console(server))
    rig.virsh("h3", "reset", server)
    goes_on = rig.guest_says(server, r"numbers go on after (\d+), lost (\d+)", after=before)
    assert int(goes_on[1]) >= last
    assert int(goes_on[2]) == 0
    assert rig.boots(server) == 2
