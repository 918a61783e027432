"""The power switch of a rig's hosts: `start` boots one, `crash` takes its power, and what its disk needs before."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from cloud.embedded import envfile, supervisor
from cloud.embedded.programs import MACHINE, Program, cloud_programs, tool
from cloud.embedded.rig import fabric
from cloud.embedded.rig.init import LIBVIRT
from cloud.embedded.rig.plan import Rig, RigHost
from cloud.embedded.settings import CHECKOUT
from cloud.embedded.trouble import Trouble

BOOT_SECONDS = 60.0
DEATH_SECONDS = 30.0


# --- its disk -------------------------------------------------------------------------------------------------------


def prepare(rig: Rig, host: RigHost, environment: Mapping[str, str]) -> None:
    """Makes the host's directories and configuration; `environment` is its workers' settings. Its data stay."""
    for directory in (*(host.libvirt / own for own in LIBVIRT.values()), host.libvirt / "etc" / "qemu" / "networks"):
        directory.mkdir(parents=True, exist_ok=True)
    for directory in (host.directory / "run", host.directory / "logs", host.directory / "etc", rig.state_path):
        directory.mkdir(parents=True, exist_ok=True)
    for directory in (host.state / "instances", host.state / "base", host.instances):
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o711)
    shutil.copytree("/etc/libvirt/nwfilter", host.libvirt / "etc" / "nwfilter", dirs_exist_ok=True)
    (host.libvirt / "etc" / "libvirtd.conf").write_text(_libvirtd_conf(host))
    (host.libvirt / "etc" / "qemu.conf").write_text(_qemu_conf(host))
    (host.directory / "etc" / "hosts").write_text(_hosts_file(rig))
    envfile.write_private(host.settings.compute_env_file, envfile.render(environment))
    supervisor.write_config(host.settings, programs(host))


def programs(host: RigHost) -> list[Program]:
    """What the host runs: libvirt's daemons, and both compute workers."""
    virtlogd = ["/usr/sbin/virtlogd", "-p", "/run/libvirt/virtlogd.pid"]
    libvirtd = ["/usr/sbin/libvirtd", "--listen", "-p", "/run/libvirt/libvirtd.pid"]
    machine = {"virtlogd": virtlogd, "libvirtd": libvirtd}
    daemons = [Program(name=name, group=MACHINE, command=command, umask="022") for name, command in machine.items()]
    return [*daemons, *cloud_programs(host.settings)]


def _libvirtd_conf(host: RigHost) -> str:
    """TCP without a login, for migration: on the fabric alone, where only hosts of this rig are."""
    lines = [
        f'host_uuid = "{host.uuid}"',
        "listen_tls = 0",
        "listen_tcp = 1",
        f'listen_addr = "{host.address}"',
        'auth_tcp = "none"',
        'auth_unix_ro = "none"',
        'auth_unix_rw = "none"',
        "log_level = 3",
        'log_outputs = "3:file:/var/log/libvirt/libvirtd.log"',
    ]
    return "\n".join([*lines, ""])


def _qemu_conf(host: RigHost) -> str:
    """QEMU as root, and libvirt changes no owner: hosts share a directory of one local file system, where the source
    would take the disk away from the destination at the end of a live migration. No cgroups: a host has none."""
    lines = [
        'user = "root"',
        'group = "root"',
        "dynamic_ownership = 0",
        "remember_owner = 0",
        'security_driver = "none"',
        "cgroup_controllers = []",
        "namespaces = []",
        f'migration_host = "{host.address}"',
    ]
    return "\n".join([*lines, ""])


def _hosts_file(rig: Rig) -> str:
    lines = ["127.0.0.1 localhost", f"{rig.address} controller"]
    return "\n".join([*lines, *(f"{host.address} {host.name}" for host in rig.hosts), ""])


# --- its power ------------------------------------------------------------------------------------------------------


def init_pid(host: RigHost) -> int:
    """The process id of the host's first process, on this machine; 0 when the host has no power."""
    try:
        pid = int((host.directory / "run" / "init.pid").read_text())
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")  # of a zombie: empty
    except (OSError, ValueError):
        return 0
    return pid if _mark(host) in variables else 0


def start(rig: Rig, host: RigHost) -> None:
    """Boots the host unless it runs; returns when its libvirt answers. Its guests are off, as after a reboot."""
    with _alone(host):
        if init_pid(host):
            return
        fabric.plug(host, rig.subnet.prefixlen)
        _borrow_capabilities(rig, host)
        for gone in (host.libvirt / "run", host.directory / "run"):  # what a machine has in /run
            _clear(gone, keep={"supervisord.conf"})
        log = host.directory / "logs" / "init.log"
        namespaces = ["ip", "netns", "exec", host.namespace]
        namespaces += ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child"]
        with log.open("ab") as out:
            process = subprocess.Popen(
                [*namespaces, tool("python"), "-m", "cloud.embedded.rig.init", str(rig.root), host.name],
                cwd=CHECKOUT,
                env={**supervisor.clean_environment(), supervisor.MARK: _mark(host).decode().partition("=")[2]},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        _wait_for_libvirt(host, process, log)


def crash(host: RigHost) -> None:
    """Takes the host's power: its cable first, so that no connection is closed properly, then its first process, with
    which all others of the host die. What is on its disk stays. Returns when nothing of it runs any more."""
    with _alone(host):
        pid = init_pid(host)
        fabric.cut(host)
        if pid:
            os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + DEATH_SECONDS
            while Path(f"/proc/{pid}").exists():  # it goes when the last process of the host has gone
                if time.monotonic() > deadline:
                    raise Trouble(f"host {host.name}: process {pid} is still there {DEATH_SECONDS:.0f} s after its end")
                time.sleep(0.01)
        fabric.unplug(host)


def enter(host: RigHost) -> list[str]:
    """The beginning of a command line that runs inside the host; raises when it has no power."""
    pid = init_pid(host)
    if not pid:
        raise Trouble(f"host {host.name} has no power: `./kilonova rig start {host.name}`")
    return ["nsenter", "-t", str(pid), "-m", "-u", "-n", "-p", "--"]


def virsh(host: RigHost, *arguments: str) -> str:
    """What virsh says on that host; raises when it fails."""
    command = ["virsh", "-q", "-c", host.uri, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != 0:
        raise Trouble(f"virsh {' '.join(arguments)} on {host.name} failed", details=done.stdout + done.stderr)
    return done.stdout


def domains(host: RigHost) -> dict[str, str]:
    """libvirt's domains on that host: their id and their state, in virsh's words. None when it has no power."""
    states = {}
    for domain in virsh(host, "list", "--all", "--uuid").split() if init_pid(host) else ():
        with suppress(Trouble):  # it went away meanwhile
            states[domain] = virsh(host, "domstate", domain).strip()
    return states


def _borrow_capabilities(rig: Rig, host: RigHost) -> None:
    """What libvirt learned of this machine's QEMU on one host, it need not ask for 5 s on the next."""
    own = host.libvirt / "cache" / "qemu" / "capabilities"
    for other in rig.hosts:
        learned = other.libvirt / "cache" / "qemu" / "capabilities"
        if not own.exists() and learned.is_dir() and any(learned.iterdir()):
            shutil.copytree(learned, own)


def _mark(host: RigHost) -> bytes:
    return f"{supervisor.MARK}={host.directory}:init".encode()


def _clear(directory: Path, keep: set[str]) -> None:
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name not in keep:
            entry.unlink()


def _wait_for_libvirt(host: RigHost, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + BOOT_SECONDS
    while True:
        if process.poll() is not None:
            raise Trouble(f"host {host.name} did not start", log=log)
        try:
            virsh(host, "version")
            return
        except Trouble as trouble:
            if time.monotonic() > deadline:
                raise Trouble(
                    f"host {host.name}: its libvirt does not answer", details=trouble.details, log=log
                ) from trouble
        time.sleep(0.1)


@contextmanager
def _alone(host: RigHost) -> Iterator[None]:
    """Waits until nobody else switches this host."""
    descriptor = os.open(host.directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
