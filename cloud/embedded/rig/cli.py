"""`./kilonova rig COMMAND`."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from cloud.embedded import client_files, leftovers, state, status, supervisor, up, waiting
from cloud.embedded import libvirtd as machine
from cloud.embedded.programs import tool
from cloud.embedded.progress import Console
from cloud.embedded.rest import Cloud
from cloud.embedded.rig import control, fabric, hosts, plan
from cloud.embedded.rig.plan import Rig, RigHost, Storage
from cloud.embedded.settings import Settings
from cloud.embedded.trouble import Trouble


def run(arguments: Sequence[str], console: Console) -> int:
    """Runs one command of the rig; gives the exit status."""
    if os.geteuid() != 0:
        raise Trouble("a rig needs root: it makes namespaces and runs libvirt in them")
    options, rest = _parser().parse_known_args(arguments)
    if rest and options.command != "exec":
        _parser().error(f"unrecognized arguments: {' '.join(rest)}")
    root = plan.root_of()
    if options.command == "up":
        rig = plan.make(root, options.hosts, Storage(options.storage))
        with state.one_at_a_time(_lock(rig)):
            up_(rig, console, with_flower=options.flower)
        return 0
    if options.command == "down":
        down(root, console)
        return 0
    rig = plan.require(root)
    if options.command == "status":
        return 0 if say_status(rig, console) else 1
    host = rig.host(options.host)
    if options.command == "crash":
        hosts.crash(host)
        console.done(host.name, f"has no power any more; its service is down in {_down_after(rig)} s")
    elif options.command == "start":
        with console.step(f"{host.name}: start"):
            hosts.start(rig, host)
        _wait(rig, [host], console)
    elif options.command == "restart":
        with console.step(f"{host.name}: restart {options.process}"):
            hosts.enter(host)
            supervisor.restart(host.settings, options.process)
    elif options.command == "exec":
        words = [word for word in arguments[arguments.index(options.host) + 1 :] if word != "--"] or ["bash"]
        command = [*hosts.enter(host), *words]
        os.execvp(command[0], command)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./kilonova rig")
    commands = parser.add_subparsers(dest="command", required=True)
    up_parser = commands.add_parser("up", help="a cloud with N compute hosts in namespaces of this machine")
    up_parser.add_argument("hosts", nargs="?", type=int, default=3, metavar="N")
    up_parser.add_argument(
        "--storage",
        choices=[storage.value for storage in Storage],
        default=Storage.MIXED.value,
        help="where instances are kept; mixed: h1 and h2 share, every other host has a disk of its own",
    )
    up_parser.add_argument("--flower", action="store_true", help="with Flower")
    commands.add_parser("status", help="hosts, processes, services, domains; exit status 1 when something is down")
    commands.add_parser("crash", help="power loss: the host's workers, libvirtd and guests die at once").add_argument(
        "host"
    )
    commands.add_parser("start", help="power on; returns when its service is up").add_argument("host")
    restart_parser = commands.add_parser(
        "restart", help="restart one process of a host: compute, compute-ctl, libvirtd"
    )
    restart_parser.add_argument("host")
    restart_parser.add_argument("process")
    exec_parser = commands.add_parser("exec", help="run a command inside a host, for example: exec h2 virsh list")
    exec_parser.add_argument("host")
    exec_parser.add_argument("words", nargs=argparse.REMAINDER)
    commands.add_parser("down", help="remove it all: processes, namespaces, links, files")
    return parser


def up_(rig: Rig, console: Console, *, with_flower: bool) -> None:
    """Brings all of the rig up, and what of it runs already up to date. Running it again is safe."""
    settings = control.settings(rig, with_flower=with_flower)
    with console.step(f"fabric {rig.subnet}"):
        fabric.ensure(rig)
    state.prepare(settings)
    settings, cloud = up.bring_up(settings, console)
    up.fill(settings, cloud, console, control.FLAVORS)
    with console.step(f"{rig.size} compute hosts: enrol"):
        for host, environment in zip(rig.hosts, control.enrol(rig, settings), strict=True):
            hosts.prepare(rig, host, environment)
    machine.let_qemu_see_kvm()
    for host in rig.hosts:
        with console.step(host.name) as step:
            step.note("restarted on changed code or settings" if control.refresh(settings, host) else "")
            hosts.start(rig, host)
    _wait(rig, rig.hosts, console)
    _, clouds = client_files.write(settings)
    _say_how_to_go_on(rig, settings, clouds, console)


def down(root: Path, console: Console) -> None:
    """Removes everything that the rig in `root` made; what is gone already is well."""
    rig = plan.require(root)
    with state.one_at_a_time(_lock(rig)):
        for host in rig.hosts:
            if host.directory.exists():
                hosts.crash(host)
                leftovers.end(host.settings)
                fabric.unplug(host)
        console.done(f"{rig.size} hosts", "gone, with their guests and namespaces")
        if (rig.cloud_dir / "kilonova.env").exists():
            with console.step("stop the control plane"):
                control.stop(control.settings(rig))
        fabric.remove(rig)
        # rig.json last: what is left of an interrupted removal is still known to be a rig's.
        for entry in [entry for entry in root.iterdir() if entry.name != "rig.json"]:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        (root / "rig.json").unlink()
        root.rmdir()
        console.done(str(root), "removed")


def say_status(rig: Rig, console: Console) -> bool:
    """Prints how the control plane and each host are; True when nothing is down."""
    checks = [status.status(control.settings(rig), console)]
    for host in rig.hosts:
        pid = hosts.init_pid(host)
        storage = "shared storage" if host.is_shared else "storage of its own"
        power = f"init {pid}" if pid else "no power"
        console.line(f"{'✓' if pid else '✗'} {host.name}  {host.address}  {storage}  {power}  {host.directory}")
        checks.append(bool(pid))
        for process in supervisor.processes(host.settings) if pid else ():
            console.line(f"    {'✓' if process.is_running else '✗'} {process.name:<12} {process.description}")
            checks.append(process.is_running)
        for instance_id, domain_state in hosts.domains(host).items():
            console.line(f"      domain {instance_id} {domain_state}")
    return all(checks)


def _wait(rig: Rig, wanted: Sequence[RigHost], console: Console) -> None:
    with console.step("services of " + ", ".join(host.name for host in wanted)) as step:
        settings = control.settings(rig)
        waiting.for_api(settings, step)
        control.wait_for_hosts(Cloud(settings), wanted, step)
        step.note("up")


def _down_after(rig: Rig) -> str:
    return control.settings(rig).get("DOWN_AFTER", "60")


def _lock(rig: Rig) -> Settings:
    return Settings(state_dir=rig.root, kept={}, derived={})


def _say_how_to_go_on(rig: Rig, settings: Settings, clouds: Path, console: Console) -> None:
    client = Path(tool("openstack"))
    openstack = str(client) if client.exists() else "openstack"
    shared = [host.name for host in rig.hosts if host.is_shared]
    local = [host.name for host in rig.hosts if not host.is_shared]
    kinds = {"shared storage": shared, "a disk of its own": local}
    storage = "; ".join(f"{' '.join(names)}: {kind}" for kind, names in kinds.items() if names)
    flower = f"\n  Flower  {settings['FLOWER_URL']}" if "flower" in settings.roles else ""
    console.line(
        f"""
The rig is up: {" ".join(host.name for host in rig.hosts)} ({storage}).
  API     {settings["PUBLIC_URL"]}    admin console {settings["PUBLIC_URL"]}/admin/{flower}
  files   {rig.root}    (hosts' logs in hosts/h1/logs …, the control plane's in cloud/logs)

With the openstack client:
  export OS_CLIENT_CONFIG_FILE={clouds} OS_CLOUD=kilonova
  {openstack} --os-compute-api-version 2.74 server create --host h1 --image tiny --flavor m1.nano \\
      --network shared --wait one
  {openstack} console log show one

Then: ./kilonova rig status · rig exec h1 virsh list · rig crash h1 (power loss) · rig start h1 · rig down"""
    )
