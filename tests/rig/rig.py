"""`Rig`: a whole cloud on several real hosts, as its users, its operator and its power supply see it.

A server is named by its id everywhere. Nothing here sleeps for a time: it waits for states, and says what it saw when
one does not come.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloud.embedded import supervisor
from cloud.embedded.programs import tool
from cloud.embedded.progress import Console, Step
from cloud.embedded.rest import Cloud
from cloud.embedded.rig import control, hosts, plan
from cloud.embedded.rig.plan import RigHost
from tests.rig import invariants, records
from tests.running_cloud import RunningCloud, clean_environment, wait_for

# The guest counts on its disk, a number each half second, and says each once it is written: none that it said may be
# missing afterwards. At a boot it says where it goes on.
WRITER = """#!/bin/sh
n=$(tail -n 1 /data/numbers 2>/dev/null || echo 0)
echo "tiny: numbers go on after $n, lost $(awk '$1 != NR' /data/numbers 2>/dev/null | wc -l)"
(while usleep 500000; do n=$((n + 1)); echo $n >>/data/numbers; sync; echo "tiny: number $n"; done) >/dev/console 2>&1 &
"""
DEAF = "#!/bin/sh\nkillall acpid\necho 'tiny: deaf now'\n"  # a guest that hears no ACPI
BOOTED = r"BOOT-OK uptime=\S+"
TICK = r"tick ([0-9.]+)"


@dataclass
class Rig(RunningCloud):
    """`state_dir` is the control plane's. All of RunningCloud is here too: `call`, `server`, `status_of`, `manage` …"""

    root: Path = field(default_factory=Path)
    plan: plan.Rig = field(default=None)  # type: ignore[assignment]

    # --- coming and going ---

    @classmethod
    def up_in(cls, root: Path, size: int = 3, *arguments: str) -> Rig:
        """`./kilonova rig up` in a directory of its own. What came up before a failure is removed by `down`."""
        rig = cls(state_dir=root / "cloud", root=root)
        rig.environment = {**clean_environment(), "KILONOVA_RIG_DIR": str(root)}
        try:
            rig.kilonova("rig", "up", str(size), *arguments)
        except BaseException:
            rig.down()
            raise
        return cls.of(root)

    @classmethod
    def of(cls, root: Path) -> Rig:
        """A rig that is up already: its directory, as KILONOVA_RIG_DIR."""
        planned = plan.require(root)
        rig = cls(state_dir=planned.cloud_dir, root=root, plan=planned)
        own = {"KILONOVA_RIG_DIR": str(root), "KILONOVA_STATE_DIR": str(planned.cloud_dir)}
        # Every verb at its newest; a test of an older one gives --os-compute-api-version.
        rig.environment = {**clean_environment(), **own, "OS_COMPUTE_API_VERSION": "2.96"}
        rig.base = f"http://{planned.address}:{planned.api_port}"
        return rig

    def down(self) -> None:
        """Removes everything."""
        self.kilonova("rig", "down", check=(self.root / "rig.json").exists())
        shutil.rmtree(self.root, ignore_errors=True)

    @contextmanager
    def setting(self, **values: str) -> Iterator[None]:
        """The API and the conductor run with these settings, meanwhile."""
        file = self.state_dir / "kilonova.env"
        before = file.read_text()
        said = "".join(f"{name}={value}\n" for name, value in values.items())
        try:
            self._configure(said + before)
            yield
        finally:
            self._configure(before)

    def _configure(self, text: str) -> None:
        (self.state_dir / "kilonova.env").write_text(text)
        for process in ("api", "conductor"):
            self.kilonova("restart", process)
        wait_for("the API", self.is_well, timeout=120)
        self.wait_up()

    # --- hosts, and their power ---

    @property
    def hosts(self) -> list[str]:
        """Their names: h1 and h2 share storage, h3 has a disk of its own."""
        return [host.name for host in self.plan.hosts]

    def host(self, name: str) -> RigHost:
        """A host's plan: its directories on this machine, its address, its libvirt's URI."""
        return self.plan.host(name)

    def has_power(self, host: str) -> bool:
        """Whether it is on."""
        return hosts.init_pid(self.host(host)) != 0

    def crash(self, host: str) -> None:
        """Power loss: when it returns, no process of the host runs any more and nobody was told."""
        hosts.crash(self.host(host))

    def start(self, host: str) -> None:
        """Power on; returns when its service is up. Its guests are off, but for what the cloud does about that."""
        hosts.start(self.plan, self.host(host))
        self.wait_up(host)

    def wait_up(self, *names: str) -> None:
        """Until these hosts (without names: all) are up in the service list, by a heartbeat of the workers of now."""
        cloud = Cloud(control.settings(self.plan, environment={}))
        wanted = [self.host(name) for name in names or self.hosts]
        control.wait_for_hosts(cloud, wanted, Step(Console(io.StringIO()), "hosts"))

    def wait_down(self, host: str, timeout: float = 60.0) -> None:
        """Until the service list calls its service down."""
        wait_for(f"the service of {host} to be down", lambda: self.service_state(host) == "down", timeout)

    def service_state(self, host: str) -> str:
        """`up` or `down`, as the service list has it."""
        services = self.call("GET", f"/os-services?binary=nova-compute&host={host}").json()["services"]
        return str(services[0]["state"])

    def kill(self, host: str, process: str) -> None:
        """kill -9 of one process of a host: compute, compute-ctl, libvirtd, virtlogd. Its supervisor starts another."""
        found = supervisor.named(self.host(host).settings, process)
        assert found.is_running, f"{process} does not run on {host}: {found}"
        self.run(host, "kill", "-9", str(found.pid))

    def control(self, host: str, verb: str, process: str) -> None:
        """`supervisorctl start|stop` of one process of a host; returns when that is done."""
        settings = self.host(host).settings
        found, socket = supervisor.named(settings, process), supervisor.socket_path(settings)
        command = [tool("supervisorctl"), "-s", f"unix://{socket}", verb, f"{found.group}:{process}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{verb} {process} on {host}:\n{done.stdout}{done.stderr}"

    def run(self, host: str, *command: str) -> str:
        """What a command says inside a host, as root; asserts that it ends well."""
        done = subprocess.run([*hosts.enter(self.host(host)), *command], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{' '.join(command)} on {host}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def virsh(self, host: str, *arguments: str) -> str:
        """What virsh says on a host; raises Trouble when it fails."""
        return hosts.virsh(self.host(host), *arguments)

    def domains(self, host: str) -> dict[str, str]:
        """Instance id → state (running, paused, shut off …) of every domain of a host; none when it has no power."""
        return hosts.domains(self.host(host))

    def where(self, server: str) -> dict[str, str]:
        """Host → state of the server's domain there: one entry, when all is well."""
        return {host: found[server] for host in self.hosts if server in (found := self.domains(host))}

    def directory(self, host: str, server: str) -> Path:
        """The server's directory on a host, as this machine sees it, whether it exists or not."""
        return self.host(host).instances / server

    def files(self, host: str, server: str) -> list[str]:
        """The names of the server's files on a host; none when it has no directory there."""
        directory = self.directory(host, server)
        return sorted(str(path.relative_to(directory)) for path in directory.rglob("*")) if directory.exists() else []

    # --- servers ---

    def boot(
        self,
        name: str,
        host: str | None = None,
        *arguments: str,
        flavor: str = "m1.nano",
        image: str = "tiny",
        user_data: str = "",
        is_booted: bool = True,
    ) -> str:
        """`openstack server create`, on that host or a scheduled one; gives the id once it is ACTIVE, and with
        `is_booted` once the guest itself says so. `arguments` go to the client as they are."""
        words = ["server", "create", "--image", image, "--flavor", flavor, "--network", "shared", *arguments]
        if host is not None:
            words += ["--host", host]
        with tempfile.NamedTemporaryFile("w", suffix=".user-data") as file:
            if user_data:
                file.write(user_data)
                file.flush()
                words += ["--user-data", file.name]
            server = str(self.openstack_json(*words, name)["id"])
        self.wait_status(server, "ACTIVE")
        if is_booted:
            self.guest_says(server, BOOTED)
        return server

    def delete(self, *servers: str) -> None:
        """Deletes servers and waits until they are gone."""
        for server in servers:
            self.call("DELETE", f"/servers/{server}")
        for server in servers:
            wait_for(f"{server} to be gone", lambda: self.status_of(server) is None, timeout=180)  # noqa: B023

    def act(self, server: str, verb: str, body: Any = None) -> Any:
        """POST …/action at the newest microversion; the response, whatever its status."""
        return self.call("POST", f"/servers/{server}/action", **{verb: body})

    def host_of(self, server: str) -> str:
        """The host that the API names."""
        return str(self.server(server)["OS-EXT-SRV-ATTR:host"])

    def wait_status(self, server: str, status: str, timeout: float = 180.0) -> dict[str, Any]:
        """The server, once it has that status and nothing is under way. Fails at once with its fault when it gets into
        ERROR, unless ERROR is waited for."""
        last: dict[str, Any] = {}

        def is_there() -> bool:
            last.update(self.server(server))
            assert status == "ERROR" or last["status"] != "ERROR", f"{server} is in ERROR: {last.get('fault')}"
            return last["status"] == status and last["OS-EXT-STS:task_state"] is None

        try:
            wait_for(f"{server} to be {status}", is_there, timeout)
        except AssertionError as error:
            seen = f"it is {last.get('status')}, task {last.get('OS-EXT-STS:task_state')}"
            raise AssertionError(f"{error}; {seen}") from error
        return last

    # --- guests ---

    def console(self, server: str, host: str | None = None) -> str:
        """All that the guest wrote to its console there (on the host that the API names), from the file itself."""
        log = self.directory(host or self.host_of(server), server) / "console.log"
        parts = [path.read_text(errors="replace") for path in (log.with_name("console.log.0"), log) if path.exists()]
        return "".join(parts)

    def guest_says(
        self, server: str, pattern: str, after: int = 0, *, host: str | None = None, timeout: float = 300.0
    ) -> re.Match[str]:
        """Waits for a match in the console. `after`: only beyond so many characters (`len(rig.console(server))` at some
        moment); a log that is shorter by now was begun anew, and all of it counts."""
        text = ""

        def search() -> re.Match[str] | None:
            nonlocal text
            text = self.console(server, host)
            return re.search(pattern, text[after:] if len(text) >= after else text)

        try:
            return wait_for(f"{pattern!r} on the console of {server}", search, timeout)  # type: ignore[no-any-return]
        except AssertionError as error:
            raise AssertionError(f"{error}; its end:\n{text[-1500:]}") from error

    def uptime(self, server: str, host: str | None = None) -> float:
        """The guest's uptime in seconds, by its next tick."""
        return float(self.guest_says(server, TICK, after=len(self.console(server, host)), host=host)[1])

    def boots(self, server: str) -> int:
        """How often its disk was booted from, as the guest counts on it."""
        return int(re.findall(r"boots=(\d+)", self.console(server))[-1])

    # --- what must hold ---

    def records(self) -> records.Records:
        """What the database says now."""
        return records.read(self)

    def allocations(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """Consumer → host → (vCPUs, MiB, GiB)."""
        return self.records().allocations

    def left_of(self, server: str) -> list[str]:
        """What is left of a server on any host or in the database's allocations and ports: nothing, after a delete."""
        left = [f"domain on {host}: {state}" for host, state in self.where(server).items()]
        left += [f"files on {host}: {files}" for host in self.hosts if (files := self.files(host, server))]
        left += [f"allocation on {host}" for host in self.allocations().get(server, {})]
        ports = self.count("networks.Port", device_id=server)
        return [*left, *([f"{ports} ports"] if ports else [])]

    def invariants(self) -> list[str]:
        """What is wrong, a sentence each; empty when all is well. Ask when nothing is under way."""
        powered = [host for host in self.hosts if self.has_power(host)]
        listed: dict[Path, set[str]] = {}
        for host in powered:
            listed.setdefault(self.host(host).instances, _names(self.host(host).instances.iterdir()))
        return invariants.breaches(
            self.records(),
            {host: self.domains(host) for host in powered},
            {host: listed[self.host(host).instances] for host in powered},
        )


def _names(entries: Iterable[Path]) -> set[str]:
    return {entry.name for entry in entries if entry.is_dir()}
