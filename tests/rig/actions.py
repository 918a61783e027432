"""What the action log on the wire says of the newest action on a server."""

from __future__ import annotations

from typing import Any

from tests.rig.rig import Rig
from tests.running_cloud import wait_for


def last_action(rig: Rig, server: str) -> dict[str, Any]:
    """The newest action on the server, with its events."""
    newest = rig.call("GET", f"/servers/{server}/os-instance-actions").json()["instanceActions"][0]
    path = f"/servers/{server}/os-instance-actions/{newest['request_id']}"
    return dict(rig.call("GET", path).json()["instanceAction"])


def failed_with(rig: Rig, server: str) -> str:
    """Waits until the newest action has failed; the words of each of its steps that did."""
    wait_for("the action to fail", lambda: last_action(rig, server)["message"] == "Error", 180)
    return "; ".join(event["details"] or "" for event in last_action(rig, server)["events"])
