"""The first process of a rig's host: makes the namespaces look like a machine, then becomes its supervisor.

Run as `python -m cloud.embedded.rig.init RIG HOST` by `hosts.start`, in new namespaces.
What it mounts, nobody else sees.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from cloud.embedded import supervisor
from cloud.embedded.programs import tool
from cloud.embedded.rig import plan
from cloud.embedded.rig.plan import Rig, RigHost

# Where libvirt keeps its things, and the host's own directory that is put there.
LIBVIRT = {
    "/run/libvirt": "run",
    "/var/lib/libvirt": "lib",
    "/etc/libvirt": "etc",
    "/var/log/libvirt": "log",
    "/var/cache/libvirt": "cache",
}


def main(root: str, name: str) -> None:
    """Mounts, and becomes supervisord; does not return."""
    rig = plan.require(Path(root))
    host = rig.host(name)
    _say_who_this_is(host)
    socket.sethostname(host.name)
    _mount_own_files(rig, host)
    config = str(supervisor.config_path(host.settings))
    os.execv(tool("python"), [tool("python"), "-m", "cloud.embedded.supervisord", "--nodaemon", "-c", config])


def _say_who_this_is(host: RigHost) -> None:
    """Writes the process id that this machine knows us by: /proc is still the machine's."""
    (host.directory / "run" / "init.pid").write_text(os.readlink("/proc/self"))


def _mount_own_files(rig: Rig, host: RigHost) -> None:
    for there, own in LIBVIRT.items():
        _bind(host.libvirt / own, Path(there))
    _bind(host.directory / "etc" / "hosts", Path("/etc/hosts"))
    _bind(host.state, rig.state_path)
    if host.is_shared:
        _bind(host.instances, rig.state_path / "instances")
    subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=True)


def _bind(own: Path, there: Path) -> None:
    subprocess.run(["mount", "--bind", str(own), str(there)], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
