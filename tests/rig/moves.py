"""What tests of moves ask of a rig: which hosts may be chosen, what is kept where, how long a verb took."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from tests.rig.actions import last_action
from tests.rig.rig import Rig


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
