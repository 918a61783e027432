"""The cloud under chaos: real processes of its own in a temporary directory, on free ports, gone at the end.

Redis with the product's users, the API, two conductors and a scheduler of its own, beat, and three simulated hosts,
each with its worker and its control worker under its own Redis user. c1 and c2 share their instances directory.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import redis as redis_client

from cloud.embedded import database, enroll, envfile, leftovers, postgres, redis, state, supervisor, waiting
from cloud.embedded import settings as settings_
from cloud.embedded.programs import BROKER, Program, cloud_programs, programs
from cloud.embedded.progress import Console
from cloud.embedded.rest import Cloud
from cloud.embedded.settings import Settings
from cloud.embedded.trouble import Trouble
from hypervisor import side_files
from tests.chaos.load import Made
from tests.running_cloud import free_port

HOSTS = ("c1", "c2", "c3")
SHARING = ("c1", "c2")
IMAGE_BYTES = 1 << 16

# Seconds. SHORT makes a run of minutes tell what the product's defaults would tell in hours; PRODUCT changes nothing.
SHORT = {
    "HEARTBEAT_INTERVAL": "3",
    "DOWN_AFTER": "20",
    "LEASE": "5",
    "LEASE_RENEWAL": "1.5",
    "SWEEP_INTERVAL": "1",
}
PRODUCT: dict[str, str] = {}

# Calls of the simulated driver that take a time, so that a kill finds them at work.
SLOW_CALLS = (
    *("images.fetch", "disks.create", "disks.delete", "interfaces.plug", "interfaces.unplug"),
    *("lifecycle.start", "lifecycle.define", "lifecycle.stop", "lifecycle.remove"),
    *("power.reboot", "power.pause", "power.unpause", "power.suspend", "power.resume"),
    *("snapshots.take", "snapshots.upload", "kept_disks.set_aside", "rescue_disks.create"),
    *("moves.set_aside", "moves.bring_base", "moves.bring_disk", "moves.put_back", "moves.discard"),
    *("migration.prepare", "migration.expect", "migration.send", "migration.arrive", "migration.leave"),
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What cloud to run. `delay`: seconds that each slow call of the simulated driver takes. `on_postgres`: PostgreSQL
    of its own in place of SQLite."""

    timing: Mapping[str, str] = field(default_factory=lambda: dict(SHORT))
    delay: float = 0.04
    on_postgres: bool = False
    is_kept: bool = False


@dataclass(frozen=True, kw_only=True)
class ChaosCloud:
    """The running cloud: its settings, its hosts' state directories, and what servers are made of."""

    settings: Settings
    hosts: Mapping[str, Path]
    image: str
    flavors: Sequence[str]
    network: str

    @property
    def url(self) -> str:
        """Where the API is."""
        return self.settings.local_url

    @property
    def made(self) -> Made:
        """What its users need to know."""
        return Made(
            url=self.url, password=self.password, image=self.image, flavors=tuple(self.flavors), network=self.network
        )

    @property
    def password(self) -> str:
        """The password of the user admin."""
        return self.settings["ADMIN_PASSWORD"]

    @property
    def database_url(self) -> str:
        """The database, as DATABASE_URL has it."""
        return self.settings["DATABASE_URL"]

    @property
    def logs(self) -> Path:
        """The directory with the log of each process."""
        return self.settings.logs_dir

    def broker(self) -> redis_client.Redis:
        """An admin's connection to the broker."""
        return redis_client.Redis.from_url(self.settings.broker_admin_url, socket_timeout=10)

    def pids(self) -> dict[str, int]:
        """The first process of each program that runs now."""
        return {found.name: found.pid for found in supervisor.processes(self.settings) if found.pid}

    def slow_down(self, host: str, calls: Mapping[str, float]) -> None:
        """From now on these calls of a host's driver take so many seconds each, and no other any."""
        slow = {name: {"delay": seconds} for name, seconds in calls.items() if seconds}
        side_files.write(self.hosts[host] / "simulated" / "faults.json", slow, durable=False)


@contextmanager
def running(plan: Plan, console: Console) -> Iterator[ChaosCloud]:
    """The cloud for the time of the body; whatever happens, every process of it is stopped.

    The directory is removed at the end, unless the plan keeps it or the body raised: then the console says where it is.
    """
    directory = Path(tempfile.mkdtemp(prefix="kn-chaos-"))
    directory.chmod(state.TRAVERSABLE)
    is_kept = True
    try:
        with ExitStack() as stack:
            own = {"DATABASE_URL": stack.enter_context(postgres.running())} if plan.on_postgres else {}
            settings = settings_.from_values({**_values(directory / "cloud"), **plan.timing, **own})
            stack.callback(_stop, settings)
            yield _start(settings, plan, directory, console)
        is_kept = plan.is_kept
    finally:
        if is_kept:
            console.line(f"kept, with all logs: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)


def _values(state_dir: Path) -> dict[str, str]:
    return {
        "KILONOVA_STATE_DIR": str(state_dir),
        **{name: str(free_port()) for name in ("API_PORT", "FLOWER_PORT", "REDIS_PORT")},
        "KILONOVA_DRIVER": "simulated",
        "ROLES": "api,conductor,beat",
        "SHUTDOWN_TIMEOUT": "5",
        "QUOTA_DEFAULTS": "instances=-1,cores=-1,ram=-1",
        "COMPUTE_EVENTS": "false",
    }


def _start(settings: Settings, plan: Plan, directory: Path, console: Console) -> ChaosCloud:
    state.prepare(settings)
    settings_.remember(settings)
    redis.write_config(settings)
    with console.step("database: migrate, bootstrap"):
        database.run(settings, "migrate", "--no-input", "-v", "0")
        database.run(settings, "bootstrap")
    with console.step("Redis; hosts: enrol"):
        supervisor.write_config(settings, [program for program in programs(settings) if program.group == BROKER])
        supervisor.start(settings)
        _until_redis_answers(settings)
        hosts = {name: directory / "hosts" / name for name in HOSTS}
        own = dict(zip(HOSTS, enroll.admit(settings, HOSTS), strict=True))
        supervisor.stop(settings)
    wanted = [*(p for p in programs(settings) if p.group == BROKER), *_control_programs(settings)]
    for name, state_dir in hosts.items():
        wanted += _host_programs(settings, plan, name, state_dir, own[name])
    with console.step("processes") as step:
        step.note(" ".join(program.name for program in wanted))
        supervisor.write_config(settings, wanted)
        supervisor.start(settings)
    with console.step("API") as step:
        waiting.for_api(settings, step)
    rest = Cloud(settings)
    with console.step("hosts up") as step:
        waiting.until(lambda: _hosts_missing(rest), step, waiting.HOST_SECONDS, Trouble)
    image = _image(rest)
    flavors = [_flavor(rest, memory) for memory in (64, 128)]
    network = _network(rest)
    cloud = ChaosCloud(settings=settings, hosts=hosts, image=image, flavors=flavors, network=network)
    for name in hosts:
        cloud.slow_down(name, dict.fromkeys(SLOW_CALLS, plan.delay))
    return cloud


def _until_redis_answers(settings: Settings) -> None:
    broker = redis_client.Redis.from_url(settings.broker_admin_url)

    def missing() -> str | None:
        try:
            broker.ping()
        except redis_client.exceptions.ConnectionError as error:
            return str(error)
        return None

    waiting.until(missing, _Silent(), 20, Trouble)  # type: ignore[arg-type]


class _Silent:
    def note(self, text: str) -> None:
        """Says nothing."""


def _stop(settings: Settings) -> None:
    try:
        if supervisor.is_up(settings):
            supervisor.stop(settings)
    finally:
        leftovers.end(settings)


# --- the programs ---------------------------------------------------------------------------------------------------


def _control_programs(settings: Settings) -> list[Program]:
    """The API, beat, and in place of the one conductor two, and a scheduler."""
    made = {program.name: program for program in cloud_programs(settings)}
    conductor = made.pop("conductor")
    queues = {"conductor-1": "conductor", "conductor-2": "conductor", "scheduler": "scheduler"}
    return [*made.values(), *(_named(conductor, name, reads) for name, reads in queues.items())]


def _named(conductor: Program, name: str, queues: str) -> Program:
    command = [queues if word == "conductor,scheduler" else word for word in conductor.command]
    command = [f"{name}@chaos" if word.startswith("conductor@") else word for word in command]
    assert command != conductor.command, f"the conductor's command is not what it was: {command}"
    return replace(
        conductor, name=name, command=command, environment={**conductor.environment, "KILONOVA_PROCESS": name}
    )


def _host_programs(settings: Settings, plan: Plan, name: str, state_dir: Path, own: Mapping[str, str]) -> list[Program]:
    """The two workers of a host, with a settings file of their own."""
    logs = settings.logs_dir / name
    for directory in (state_dir, logs):
        directory.mkdir(parents=True)
    if name in SHARING:
        shared = state_dir.parent / "shared"
        shared.mkdir(exist_ok=True)
        (state_dir / "instances").symlink_to(shared)
    values = {
        **{key: settings.get(key) for key in settings_.COMPUTE_NAMES if settings.get(key)},
        **own,
        "KILONOVA_STATE_DIR": str(state_dir),
        "LOG_DIR": str(logs),
    }
    envfile.write_private(state_dir / "compute.env", envfile.render(values))
    here = Settings(state_dir=state_dir, kept={**values, "ROLES": "compute", "STEP_THREADS": "8"}, derived={})
    more = {"SIMULATED_FETCH": "1", "SIMULATED_EFFECTS": "1", "SIMULATED_STEER_SECONDS": "2"}
    return [
        replace(program, name=f"{name}-{program.name}", environment={**program.environment, **more})
        for program in cloud_programs(here)
    ]


# --- what servers are made of -----------------------------------------------------------------------------------------


def _hosts_missing(rest: Cloud) -> str | None:
    services = rest.get("/compute/v2.1/os-services?binary=nova-compute")["services"]
    missing = [service["host"] for service in services if service["state"] != "up"]
    return f"waiting for {' '.join(missing)}" if missing or len(services) < len(HOSTS) else None


def _image(rest: Cloud) -> str:
    body = {"name": "chaos", "disk_format": "raw", "container_format": "bare", "visibility": "public"}
    made = rest.post("/image/v2/images", body)
    rest.upload(f"/image/v2/images/{made['id']}/file", io.BytesIO(bytes(IMAGE_BYTES)))
    return str(made["id"])


def _flavor(rest: Cloud, memory: int) -> str:
    body = {"name": f"chaos.{memory}", "ram": memory, "vcpus": 1, "disk": 1, "id": "auto"}
    return str(rest.post("/compute/v2.1/flavors", {"flavor": body})["flavor"]["id"])


def _network(rest: Cloud) -> str:
    made = rest.post("/networking/v2.0/networks", {"network": {"name": "chaos"}})["network"]
    subnet = {"network_id": made["id"], "cidr": "10.213.0.0/16", "ip_version": 4, "name": "chaos"}
    rest.post("/networking/v2.0/subnets", {"subnet": subnet})
    return str(made["id"])
