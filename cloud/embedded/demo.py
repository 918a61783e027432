"""The instance `hello`: booted over REST, its steps shown as they happen, its console printed."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Any

from cloud.embedded import seed
from cloud.embedded.progress import Console, Step
from cloud.embedded.rest import Cloud
from cloud.embedded.settings import Settings
from cloud.embedded.trouble import Trouble

NAME = "hello"
FLAVOR = "m1.nano"
BOOTED = "BOOT-OK"
MICROVERSION = "2.84"  # the first with details in the events
BOOT_SECONDS = 300.0
CONSOLE_SECONDS = 300.0  # software emulation on a loaded machine: a minute
ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[a-zA-Z])|[\x00-\x08\x0b\x0c\x0e-\x1a]")


def find(cloud: Cloud) -> dict[str, Any] | None:
    """The instance, if it is there."""
    servers = cloud.get(f"/compute/v2.1/servers/detail?name=^{NAME}$", microversion=MICROVERSION)["servers"]
    return servers[0] if servers else None


def ensure(settings: Settings, cloud: Cloud, console: Console, *, image_id: str, network_id: str) -> dict[str, Any]:
    """Boots `hello` unless it is there; returns it when it is ACTIVE. Raises with its fault when it ends in ERROR."""
    server = find(cloud)
    if server is not None and server["status"] == "ACTIVE":
        console.done(f"instance {NAME}", f"is ACTIVE at {address(server)}")
        return server
    with console.step(f"instance {NAME}") as step:
        if server is None:
            server_id, request_id = _boot(cloud, image_id, network_id)
            server = _follow(cloud, server_id, request_id, step)
            _print_console(cloud, server, step)
        elif server["status"] == "BUILD":
            server = _follow(cloud, server["id"], _create_request(cloud, server["id"]), step)
        elif server["status"] == "ERROR":
            raise _fault(server)
        step.note(f"is {server['status']} at {address(server)}")
    return server


def address(server: dict[str, Any]) -> str:
    """Its first address."""
    addresses = [a["addr"] for network in server["addresses"].values() for a in network]
    return addresses[0] if addresses else "no address"


def _boot(cloud: Cloud, image_id: str, network_id: str) -> tuple[str, str]:
    body = {
        "name": NAME,
        "imageRef": image_id,
        "flavorRef": seed.flavor_id(cloud, FLAVOR),
        "networks": [{"uuid": network_id}],
        "config_drive": True,
    }
    reply = cloud.call("POST", "/compute/v2.1/servers", json={"server": body}, microversion=MICROVERSION)
    return reply.json()["server"]["id"], reply.headers["X-Openstack-Request-Id"]


def _create_request(cloud: Cloud, server_id: str) -> str:
    path = f"/compute/v2.1/servers/{server_id}/os-instance-actions"
    actions = cloud.get(path, microversion=MICROVERSION)["instanceActions"]
    return next((action["request_id"] for action in actions if action["action"] == "create"), "")


def _follow(cloud: Cloud, server_id: str, request_id: str, step: Step) -> dict[str, Any]:
    """Says each step of the action once, as it ends, until the instance is ACTIVE."""
    said: set[str] = set()
    deadline = time.monotonic() + BOOT_SECONDS
    while True:
        server = cloud.get(f"/compute/v2.1/servers/{server_id}", microversion=MICROVERSION)["server"]
        running = _say_events(cloud, server_id, request_id, step, said)
        if server["status"] == "ACTIVE":
            return server
        if server["status"] == "ERROR":
            raise _fault(server)
        if time.monotonic() > deadline:
            raise Trouble(f"{NAME} is still {server['status']} after {BOOT_SECONDS:.0f} s; it is at: {running}")
        step.note(running or server["status"])
        time.sleep(0.25)


def _say_events(cloud: Cloud, server_id: str, request_id: str, step: Step, said: set[str]) -> str:
    """One line for each event that ended since the last look; gives the name of the one that runs."""
    path = f"/compute/v2.1/servers/{server_id}/os-instance-actions/{request_id}"
    events = cloud.get(path, microversion=MICROVERSION)["instanceAction"]["events"] or []
    running = ""
    for event in sorted(events, key=lambda event: event["start_time"] or "~"):
        key = f"{event['event']} {event['start_time']}"
        if not event["finish_time"]:
            running = running or event["event"]
        elif key not in said:
            said.add(key)
            mark = "✓" if event["result"] == "Success" else "✗"
            details = f"  {event['details']}" if event.get("details") and mark == "✗" else ""
            where = f"  on {event['host']}" if event.get("host") else ""
            step.says(f"{mark} {event['event']}{where}  {_seconds(event):.2f} s{details}")
    return running


def _seconds(event: dict[str, Any]) -> float:
    begun, ended = (datetime.fromisoformat(event[name]) for name in ("start_time", "finish_time"))
    return (ended - begun).total_seconds()


def _fault(server: dict[str, Any]) -> Trouble:
    fault = server.get("fault") or {}
    return Trouble(
        f"the instance {NAME} is in ERROR: {fault.get('message', 'it carries no fault')}. "
        f"`openstack server delete {NAME}` and `./kilonova up` try again.",
        details=fault.get("details", ""),
    )


def _print_console(cloud: Cloud, server: dict[str, Any], step: Step) -> None:
    """Waits for the guest's own word that it has booted, and prints what it said."""
    path = f"/compute/v2.1/servers/{server['id']}/action"
    deadline = time.monotonic() + CONSOLE_SECONDS
    while True:
        output = cloud.post(path, {"os-getConsoleOutput": {"length": 50}}, microversion=MICROVERSION)["output"]
        lines = [line for line in banner(output) if line]
        if any(BOOTED in line for line in lines):
            break
        if time.monotonic() > deadline:
            raise Trouble(f"{NAME} runs, and its console does not say {BOOTED}", details="\n".join(lines))
        step.note("waiting for the guest to boot; its console says: " + (lines[-1][:60] if lines else "nothing yet"))
        time.sleep(0.5)
    step.says("its console says:")
    for line in lines:
        step.says(f"  | {line}")


def banner(output: str) -> list[str]:
    """The guest's lines up to its banner, without what draws on a screen."""
    lines = [line.rstrip() for line in ESCAPES.sub("", output).replace("\r", "").splitlines()]
    ends = [number for number, line in enumerate(lines, start=1) if BOOTED in line]
    return lines[: ends[-1]] if ends else lines
