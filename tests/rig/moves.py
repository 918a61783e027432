"""What tests of moves ask of a rig: which hosts may be chosen, what is kept where, how long a verb took and what was
measured of a migration."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from tests.rig.actions import last_action
from tests.rig.rig import Rig
from tests.running_cloud import wait_for


@contextmanager
def only(rig: Rig, *hosts: str) -> Iterator[None]:
    """No other host may be chosen meanwhile."""
    others = [host for host in rig.hosts if host not in hosts]
    try:
        for host in others:
            rig.openstack("compute", "service", "set", "--disable", host, "nova-compute")
        yield
    finally:
        for host in others:
            rig.openstack("compute", "service", "set", "--enable", host, "nova-compute")


def kept(rig: Rig, host: str, server: str) -> list[str]:
    """Names of directories that a move keeps of the server on a host."""
    return sorted(entry.name for entry in rig.host(host).instances.glob(f"{server}.*"))


def everywhere(rig: Rig, server: str) -> dict[str, list[str]]:
    """Host → directories of the server there, kept ones too; hosts without any are left out."""
    found = {host: sorted(e.name for e in rig.host(host).instances.glob(f"*{server}*")) for host in rig.hosts}
    return {host: names for host, names in found.items() if names}


def disk_bytes(rig: Rig, host: str, server: str) -> int:
    """The virtual size of its disk there."""
    path = rig.directory(host, server) / "disk"
    told = subprocess.run(["qemu-img", "info", "-U", "--output=json", path], check=True, capture_output=True, text=True)
    return int(json.loads(told.stdout)["virtual-size"])


def report_time(rig: Rig, server: str, what: str) -> None:
    """Prints how long the newest action took, and each of its steps, for the closing note."""
    action = last_action(rig, server)

    def seconds(start: str, end: str | None) -> float:
        return (datetime.fromisoformat(end or start) - datetime.fromisoformat(start)).total_seconds()

    total = seconds(action["start_time"], action["updated_at"])
    steps = ", ".join(f"{e['event']} {seconds(e['start_time'], e['finish_time']):.2f}" for e in action["events"])
    print(f"TIME {what}: {total:.2f} s ({steps})")


def measured(rig: Rig, server: str) -> list[dict[str, Any]]:
    """What was measured of each migration of the server, oldest first, and how it ended."""
    code = (
        "import json; from instances.models import Migration; "
        f"rows = Migration.objects.filter(instance_id='{server}').order_by('pk'); "
        "print('ROWS ' + json.dumps([{**row.details, 'status': row.status} for row in rows]))"
    )
    said = rig.manage("shell", "-c", code)
    rows: list[dict[str, Any]] = json.loads(next(line for line in said.splitlines() if line.startswith("ROWS "))[5:])
    return rows


def begin_slowly(rig: Rig, server: str, source: str, host: str) -> str:
    """A migration that would take minutes, once it is on its way; its number."""
    rig.virsh(source, "migrate-setspeed", server, "1")
    answer = rig.act(server, "os-migrateLive", {"host": host, "block_migration": "auto"})
    assert answer.status_code == 202, answer.text

    def on_its_way() -> dict[str, Any] | None:
        found = rig.call("GET", f"/servers/{server}/migrations").json()["migrations"]
        return found[0] if found and found[0]["status"] == "running" else None

    row = wait_for("the migration to be on its way", on_its_way)
    wait_for("the guest to be coming", lambda: rig.where(server).get(host) == "paused")
    return str(row["id"])
