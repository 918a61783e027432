"""Removing all that one cloud made on this machine, and nothing that another made.

First as any client would: every instance and network is deleted through the API. Then libvirt is asked what is left:
a domain is ours when its XML names a file under our state directory; a network when our API listed it, when one of our
domains is plugged into it, or when our compute worker has a record of it.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from cloud.embedded import libvirtd, supervisor, waiting
from cloud.embedded.programs import CLOUD
from cloud.embedded.progress import Console, Step
from cloud.embedded.rest import Cloud
from cloud.embedded.settings import Settings
from cloud.embedded.trouble import Trouble

DELETE_SECONDS = 120.0
BRIDGE = re.compile(r"\bkn-[0-9a-f]{8,12}\b")


def guests_and_networks(settings: Settings, console: Console) -> None:
    """Deletes them through the API as far as it answers, and then with virsh whatever is still there."""
    bridges: set[str] = set()
    if supervisor.is_up(settings) and waiting.health(settings)[0]:
        with console.step("delete instances and networks through the API") as step:
            try:
                bridges = _through_the_api(Cloud(settings), step)
            except Trouble as trouble:
                step.says(f"the API could not do it all: {trouble.message}")
        # From here on nobody may make anything anew.
        supervisor.stop_group(settings, CLOUD)
    if settings.uses_libvirt_here:
        with console.step("what libvirt still has of this cloud") as step, _libvirt(settings):
            _with_virsh(settings, bridges, step)


def _through_the_api(cloud: Cloud, step: Step) -> set[str]:
    networks = cloud.get("/networking/v2.0/networks")["networks"]
    bridges = {bridge_name(network["id"]) for network in networks}
    listing = "/compute/v2.1/servers?all_tenants=true"
    servers = cloud.get(listing)["servers"]
    for server in servers:
        cloud.delete(f"/compute/v2.1/servers/{server['id']}")
    deadline = time.monotonic() + DELETE_SECONDS
    while left := cloud.get(listing)["servers"]:
        step.note(f"{len(left)} of {len(servers)} instances to go")
        if time.monotonic() > deadline:
            raise Trouble(f"{len(left)} instances are still there after {DELETE_SECONDS:.0f} s")
        time.sleep(0.3)
    for network in networks:
        cloud.delete(f"/networking/v2.0/networks/{network['id']}")
    step.note(f"{len(servers)} instances, {len(networks)} networks")
    return bridges


def bridge_name(network_id: str) -> str:
    """A network's bridge, and its name in libvirt: `kn-` and the first twelve hex digits of its id."""
    return "kn-" + network_id.replace("-", "")[:12]


def _with_virsh(settings: Settings, bridges: set[str], step: Step) -> None:
    removed = []
    root = f"{settings.state_dir}/"
    for uuid in _virsh(settings, "list", "--all", "--uuid").split():
        xml = _virsh(settings, "dumpxml", uuid)
        if root in xml:
            bridges |= set(BRIDGE.findall(xml))
            _virsh(settings, "destroy", uuid)
            _virsh(settings, "undefine", uuid, "--managed-save", "--snapshots-metadata", "--nvram")
            removed.append(f"domain {uuid}")
    # The host's own records of plugged ports: one directory for each network.
    bridges |= {bridge_name(entry.name) for entry in (settings.state_dir / "networks").glob("*-*-*-*-*")}
    for name in _virsh(settings, "net-list", "--all", "--name").split():
        if name in bridges:
            _virsh(settings, "net-destroy", name)
            _virsh(settings, "net-undefine", name)
            removed.append(f"network {name}")
    for bridge in bridges:
        _remove_tunnel(bridge.replace("kn-", "kv-"))
    for name in _virsh(settings, "list", "--all", "--uuid").split():
        if root in _virsh(settings, "dumpxml", name):
            raise Trouble(f"libvirt still has the domain {name} of this cloud; the state directory is kept")
    step.note("removed " + ", ".join(removed) if removed else "nothing")


def _remove_tunnel(name: str) -> None:
    """The device beside libvirt's bridge, and its rules; there is none where the cloud has one host."""
    rules = _output("ebtables-save").splitlines()
    for rule in (line.split() for line in rules if line.startswith("-A") and name in line):
        _output("ebtables", "-D", *rule[1:])
    _output("ebtables", "-X", name)
    _output("ip", "link", "delete", name)


def _virsh(settings: Settings, *arguments: str) -> str:
    """What virsh printed; a thing that is gone or stopped already is no error here, what is left is looked at anew."""
    return _output("virsh", "-q", "-c", settings["LIBVIRT_URI"], *arguments)


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@contextmanager
def _libvirt(settings: Settings) -> Iterator[None]:
    """libvirt that answers: the machine's, or one for this moment when the cloud is stopped and none runs."""
    if all(libvirtd.answers(daemon) for daemon in libvirtd.DAEMONS) or supervisor.is_up(settings):
        libvirtd.wait(settings["LIBVIRT_URI"])
        yield
    else:
        with libvirtd.running(settings.logs_dir):
            yield
