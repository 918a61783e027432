"""Live migration between real hosts, under a guest that writes: no write is lost, and nothing is left behind."""

from __future__ import annotations

import contextlib
import itertools
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from cloud.embedded.trouble import Trouble
from tests.rig.moves import begin_slowly, measured
from tests.rig.rig import TICK, WRITER, Rig
from tests.running_cloud import wait_for

pytestmark = [pytest.mark.rig, pytest.mark.real]

Boot = Callable[..., str]
WRITING = r"tiny: number (\d+)"


def migrate(rig: Rig, server: str, host: str | None = None) -> None:
    """`openstack server migrate --live-migration`, until it is over."""
    named = ["--host", host] if host else []
    rig.openstack("server", "migrate", "--live-migration", *named, "--wait", server)
    rig.wait_status(server, "ACTIVE")


def numbers(rig: Rig, server: str, *hosts: str) -> list[int]:
    """All numbers that the guest said it wrote, in the order in which it said them."""
    return [int(number) for host in hosts for number in re.findall(WRITING, rig.console(server, host))]


def check_nothing_was_lost(rig: Rig, server: str, said: list[int]) -> None:
    """Every number was said once, in order; and after a reset the disk has them all."""
    assert said == list(range(said[0], said[-1] + 1)), f"a gap in {said}"
    host = rig.host_of(server)
    before = len(rig.console(server))
    rig.virsh(host, "reset", server)
    goes_on = rig.guest_says(server, r"numbers go on after (\d+), lost (\d+)", after=before)
    assert int(goes_on[1]) >= said[-1]
    assert int(goes_on[2]) == 0


def answers(rig: Rig, server: str) -> None:
    """The guest's address answers on the host that it is on."""
    (addresses,) = rig.server(server)["addresses"].values()
    rig.run(rig.host_of(server), "ping", "-c", "3", "-i", "0.5", "-W", "5", addresses[0]["addr"])


def test_ten_times_back_and_forth_under_a_guest_that_writes(rig: Rig, boot: Boot) -> None:
    server = boot("traveller", "h1", user_data=WRITER)
    rig.guest_says(server, WRITING)
    uptime, took = rig.uptime(server), []
    for round_ in range(10):
        target = ("h2", "h1")[round_ % 2]
        began = time.monotonic()
        migrate(rig, server, target)
        took.append(time.monotonic() - began)
        assert rig.host_of(server) == target
        assert rig.where(server) == {target: "running"}
        now = rig.uptime(server)
        assert now > uptime, "it was booted anew"
        uptime = now
        answers(rig, server)
    assert rig.boots(server) == 1
    assert rig.invariants() == []
    rows = measured(rig, server)
    downtimes = [row["downtime_ms"] for row in rows]
    assert [row["status"] for row in rows] == ["completed"] * 10
    print(f"\nlive migration, shared storage: downtimes {downtimes} ms, libvirt {[r['total_ms'] for r in rows]} ms")
    print(f"by the openstack client with --wait: {[round(seconds, 1) for seconds in took]} s")
    assert max(downtimes) < 5000
    check_nothing_was_lost(rig, server, numbers(rig, server, "h1"))


def test_a_disk_that_is_not_shared_is_copied_there_and_back(rig: Rig, boot: Boot) -> None:
    server = boot("mover", "h1", user_data=WRITER)
    rig.guest_says(server, WRITING)
    uptime = rig.uptime(server)
    migrate(rig, server, "h3")
    on_h1 = rig.files("h1", server)
    assert (rig.where(server), on_h1) == ({"h3": "running"}, [])
    assert {"disk", "disk.config", "console.log"} <= set(rig.files("h3", server))
    assert rig.uptime(server) > uptime
    answers(rig, server)
    there = numbers(rig, server, "h3")
    migrate(rig, server, "h2")
    assert (rig.where(server), rig.files("h3", server)) == ({"h2": "running"}, [])
    back = numbers(rig, server, "h2") or [int(rig.guest_says(server, WRITING)[1])]
    assert back[0] > there[0]
    assert rig.invariants() == []
    print(f"\nlive migration, block copy: {measured(rig, server)}")
    check_nothing_was_lost(rig, server, numbers(rig, server, "h2"))


def test_a_paused_guest_goes_and_stays_paused(rig: Rig, boot: Boot) -> None:
    server = boot("frozen", "h1")
    uptime = rig.uptime(server)
    rig.openstack("server", "pause", server)
    rig.wait_status(server, "PAUSED")
    rig.openstack("server", "migrate", "--live-migration", "--host", "h3", server)  # its --wait is for ACTIVE alone
    rig.wait_status(server, "PAUSED")
    assert (rig.host_of(server), rig.where(server)) == ("h3", {"h3": "paused"})
    assert rig.files("h1", server) == []
    rig.openstack("server", "unpause", server)
    rig.wait_status(server, "ACTIVE")
    assert rig.uptime(server) > uptime, "it was booted anew"
    assert rig.invariants() == []


def test_an_abort_in_the_middle_leaves_the_guest_at_the_source(rig: Rig, boot: Boot) -> None:
    server = boot("stayer", "h1")
    for host in ("h2", "h3"):
        uptime = rig.uptime(server)
        number = begin_slowly(rig, server, "h1", host)
        shown = counters(rig, server, number)
        assert shown["memory_total_bytes"] >= shown["memory_remaining_bytes"] > 0
        began = time.monotonic()
        rig.openstack("server", "migration", "abort", server, number)
        rig.wait_status(server, "ACTIVE")
        print(f"\nabort: {time.monotonic() - began:.1f} s until it is over")
        assert (rig.host_of(server), rig.where(server)) == ("h1", {"h1": "running"})
        assert rig.uptime(server) > uptime
        assert rig.files("h3", server) == []
        assert measured(rig, server)[-1]["status"] == "cancelled"
        assert rig.call("GET", f"/servers/{server}/migrations/{number}").status_code == 404
    answers(rig, server)
    assert rig.invariants() == []


def counters(rig: Rig, server: str, number: str) -> dict[str, Any]:
    """The migration as the API shows it, once its host has told how far it is."""

    def told() -> dict[str, Any] | None:
        shown: dict[str, Any] = rig.call("GET", f"/servers/{server}/migrations/{number}").json()["migration"]
        return shown if shown["memory_total_bytes"] else None

    return wait_for("progress", told, 30)  # type: ignore[no-any-return]


def test_a_forced_migration_completes(rig: Rig, boot: Boot) -> None:
    server = boot("forced", "h1")
    uptime = rig.uptime(server)
    number = begin_slowly(rig, server, "h1", "h2")
    rig.openstack("server", "migration", "force", "complete", server, number)
    # It is paused and waits for the rest of its memory; by post-copy, where that is permitted, it is gone at once.
    wait_for("the guest to be forced", lambda: rig.where(server).get("h1") in ("paused", None))
    with contextlib.suppress(Trouble):
        rig.virsh("h1", "migrate-setspeed", server, "8192")
    rig.wait_status(server, "ACTIVE")
    assert rig.where(server) == {"h2": "running"}
    assert rig.uptime(server) > uptime
    assert rig.invariants() == []


@pytest.mark.parametrize("dies", ["h2", "h3"], ids=["shared storage", "block copy"])
def test_a_destination_that_dies_in_the_middle_leaves_the_guest_at_the_source(rig: Rig, boot: Boot, dies: str) -> None:
    server = boot("survivor", "h1")
    uptime = rig.uptime(server)
    begin_slowly(rig, server, "h1", dies)
    rig.crash(dies)
    crashed, said = time.monotonic(), len(rig.console(server, "h1"))
    for _ in range(3):  # the first may have been on its way already
        said = len(rig.console(server, "h1"))
        rig.guest_says(server, TICK, after=said, host="h1", timeout=90)
    wait_for("the guest to go on", lambda: rig.where(server) == {"h1": "running"})
    wait_for("the job to end", lambda: "None" in rig.virsh("h1", "domjobinfo", server), 90)
    ended = time.monotonic() - crashed
    rig.guest_says(server, TICK, after=len(rig.console(server, "h1")), host="h1", timeout=30)
    ticks = [float(tick) for tick in re.findall(TICK, rig.console(server, "h1"))]
    stood_still = max(after - before for before, after in itertools.pairwise(ticks))
    print(
        f"\n{dies} lost its power: the migration ended after {ended:.0f} s; longest without a tick {stood_still:.0f} s"
    )
    assert stood_still < 60
    rig.start(dies)
    rig.wait_status(server, "ACTIVE")
    assert (rig.host_of(server), rig.where(server)) == ("h1", {"h1": "running"})
    assert rig.uptime(server) > uptime
    wait_for("nothing to be left", lambda: rig.files("h3", server) == [])
    assert rig.invariants() == []


def test_a_source_that_dies_after_the_switch_leaves_the_guest_at_the_destination(rig: Rig, boot: Boot) -> None:
    server = boot("orphan", "h1")
    uptime = rig.uptime(server)
    answer = rig.act(server, "os-migrateLive", {"host": "h2", "block_migration": "auto"})
    assert answer.status_code == 202, answer.text
    wait_for("the switch", lambda: rig.domains("h2").get(server) == "running")
    rig.crash("h1")
    rig.guest_says(server, TICK, after=len(rig.console(server, "h2")), host="h2")
    rig.start("h1")
    rig.wait_status(server, "ACTIVE")
    assert (rig.host_of(server), rig.where(server)) == ("h2", {"h2": "running"})
    assert rig.uptime(server) > uptime
    assert rig.invariants() == []


def test_what_cannot_be_done_is_refused_up_front_with_the_reason(rig: Rig, boot: Boot) -> None:
    server = boot("refused", "h1", is_booted=False)
    before = rig.server(server)
    cases = [
        ({"host": "nowhere", "block_migration": "auto"}, "nowhere could not be found"),
        ({"host": "h1", "block_migration": "auto"}, "The instance is on this host"),
        ({"host": "h2", "block_migration": True}, "shared storage with the source"),
        ({"host": "h3", "block_migration": False}, "no shared storage with the source"),
    ]
    for body, reason in cases:
        answer = rig.act(server, "os-migrateLive", body)
        assert (answer.status_code, reason in answer.text) == (400, True), (body, answer.text)
    rig.openstack("compute", "service", "set", "--disable", "--disable-reason", "tests", "h2", "nova-compute")
    try:
        answer = rig.act(server, "os-migrateLive", {"host": "h2", "block_migration": "auto"})
        assert (answer.status_code, "disabled: tests" in answer.text) == (400, True), answer.text
    finally:
        rig.openstack("compute", "service", "set", "--enable", "h2", "nova-compute")
    after = rig.server(server)
    assert {**before, "updated": ""} == {**after, "updated": ""}
