"""A worker that stands still for longer than its lease and goes on as if nothing had been: it acts no more."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.chaos.asking import Asking
from tests.chaos.cloud import SLOW_CALLS, ChaosCloud
from tests.running_cloud import wait_for

pytestmark = pytest.mark.chaos

HELD = 3.0  # seconds that the disk takes to make, for the pause to fall into it


@contextmanager
def paused(cloud: ChaosCloud, host: str) -> Iterator[None]:
    """The host's worker stands still for the body; its control worker does not."""
    process = os.pidfd_open(cloud.pids()[f"{host}-compute"])
    signal.pidfd_send_signal(process, signal.SIGSTOP)
    try:
        yield
    finally:
        signal.pidfd_send_signal(process, signal.SIGCONT)
        os.close(process)


def boot_at_work(asking: Asking) -> tuple[str, dict[str, Any]]:
    """A server whose disk is being made right now, and the event of that step."""
    for host in asking.cloud.hosts:
        asking.cloud.slow_down(host, {"disks.create": HELD})
    (server,) = asking.boot("paused")

    def at_work() -> dict[str, Any] | None:
        events = asking.events(server)
        return next((e for e in events if e["name"] == "create_disk" and e["state"] == "BEGUN"), None)

    event = wait_for("its host to be at work on the disk", at_work, timeout=20)
    for host in asking.cloud.hosts:
        asking.cloud.slow_down(host, dict.fromkeys(SLOW_CALLS, 0.04))
    return server, event


def journal(cloud: ChaosCloud, host: str, server: str) -> list[dict[str, Any]]:
    """What the host's journal says of a server."""
    log = cloud.hosts[host] / "journal" / server / "log"
    return [json.loads(line) for line in log.read_text().splitlines() if line]


def log_of(cloud: ChaosCloud, host: str, server: str) -> list[str]:
    """The lines of the host's log about a server."""
    lines = (cloud.logs / host / "compute.log").read_text().splitlines()
    return [line for line in lines if f"instance={server}" in line]


def effects(cloud: ChaosCloud, server: str) -> list[str]:
    """What all hosts together did for a server."""
    found = []
    for directory in cloud.hosts.values():
        file = directory / "simulated" / "effects.log"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        found += [line["what"] for line in lines if line["instance"] == server]
    return found


def test_a_worker_paused_past_its_lease_does_no_step_of_the_turn_that_was_taken_from_it(simulated: ChaosCloud) -> None:
    asking = Asking(simulated)
    server, event = boot_at_work(asking)
    host, turn = event["host"], event["turn"]
    with paused(simulated, host):
        wait_for("its turn to be taken over", lambda: asking.actions(server)[0]["turn"] > turn, timeout=30)
    asking.wait_quiet()
    assert asking.instance(server)["vm_state"] == "active"
    begun = [line for line in journal(simulated, host, server) if "begun" in line]
    later = next(number for number, line in enumerate(begun) if line["turn"] > turn)
    assert all(line["turn"] > turn for line in begun[later:]), "a step of the old turn began after one of the new"
    assert {line["name"] for line in begun if line["turn"] == turn} == {"fetch_image", "create_disk"}
    said = [line for line in log_of(simulated, host, server) if f"of turn {turn}" in line]
    assert any("refused" in line or "stopped" in line for line in said), said
    assert effects(simulated, server).count("disk made") == 1
    assert effects(simulated, server).count("started") == 1
    assert asking.breaches() == []
    asking.delete(server)
    assert asking.breaches() == []


def test_a_worker_paused_past_the_down_limit_takes_back_what_it_did_late(simulated: ChaosCloud) -> None:
    asking = Asking(simulated)
    server, event = boot_at_work(asking)
    host, turn = event["host"], event["turn"]
    with paused(simulated, host):
        wait_for("the instance to run elsewhere", lambda: asking.instance(server)["vm_state"] == "active", timeout=90)
        elsewhere = asking.instance(server)["host"]
        assert elsewhere != host
    wait_for(
        "the host to refuse what is left of its old turn",
        lambda: [line for line in log_of(simulated, host, server) if "refused" in line or "stopped" in line],
        timeout=30,
    )
    asking.wait_quiet()
    begun = [line for line in journal(simulated, host, server) if "begun" in line and line["verb"] == "do"]
    assert {(line["name"], line["turn"]) for line in begun} == {("fetch_image", turn), ("create_disk", turn)}
    assert effects(simulated, server).count("started") == 1
    assert asking.instance(server)["host"] == elsewhere
    assert asking.breaches() == []
    asking.delete(server)
    assert asking.breaches() == []
