"""A private cloud for one run, gone at the end: its own directory, ports, PostgreSQL and Redis."""

from __future__ import annotations

import io
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2

from benchmarks import cpu
from cloud.embedded import (
    database,
    guest_image,
    leftovers,
    libvirtd,
    postgres,
    purge,
    redis,
    state,
    supervisor,
    up,
    waiting,
)
from cloud.embedded import settings as settings_
from cloud.embedded.programs import programs
from cloud.embedded.progress import Console
from cloud.embedded.rest import Cloud
from cloud.embedded.settings import Settings

FLAVOR = "bench.tiny"
IMAGE = "bench"
MEMORY_MIB = 64
SIMULATED_IMAGE_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What cloud to run. `extra`: settings by name. `has_flower`: Flower runs, and compute workers send it events."""

    driver: str = "simulated"
    hosts: int = 20
    has_flower: bool = False
    is_kept: bool = False
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PrivateCloud:
    """The running cloud, the image and flavor to boot with, and the root process of each of its parts."""

    url: str
    admin_password: str
    image: str
    flavor: str
    database: str
    roots: Mapping[str, int]


@contextmanager
def running(plan: Plan, console: Console) -> Iterator[PrivateCloud]:
    """The cloud for the time of the body. Whatever happens, every process of it is stopped.

    The state directory is removed at the end, unless the plan keeps it or the body raised: then the console says where
    it is.
    """
    directory = Path(tempfile.mkdtemp(prefix="kilonova-bench-"))
    directory.chmod(state.TRAVERSABLE)
    is_kept = True
    try:
        with ExitStack() as stack:
            with console.step("PostgreSQL"):
                database_url = stack.enter_context(postgres.running())
            settings = settings_.from_values(_values(plan, directory / "state", database_url))
            stack.callback(_stop, settings, console)
            stack.callback(_heed_no_signal)
            yield _start(settings, plan, directory, console)
        is_kept = plan.is_kept
    finally:
        if is_kept:
            console.line(f"The state directory with the logs is kept: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)


def _values(plan: Plan, state_dir: Path, database_url: str) -> dict[str, str]:
    api, flower, broker = _free_ports(3)
    digits = len(str(plan.hosts))
    values = {
        "KILONOVA_STATE_DIR": str(state_dir),
        "DATABASE_URL": database_url,
        "API_PORT": str(api),
        "FLOWER_PORT": str(flower),
        "REDIS_PORT": str(broker),
        "KILONOVA_DRIVER": plan.driver,
        "KILONOVA_HOST": ",".join(f"bench-{number:0{digits}}" for number in range(1, plan.hosts + 1)),
        # As a cloud of many hosts would have it: Celery events of compute workers are for Flower alone.
        "COMPUTE_EVENTS": "true" if plan.has_flower else "false",
    }
    return {**values, **plan.extra}


def _start(settings: Settings, plan: Plan, directory: Path, console: Console) -> PrivateCloud:
    state.prepare(settings)
    settings_.remember(settings)
    with console.step("database: migrate, bootstrap"):
        database.run(settings, "migrate", "--no-input", "-v", "0")
        database.run(settings, "bootstrap")
    with console.step(f"{plan.hosts} {plan.driver} hosts: enrol"):
        settings = up.enrol(settings)
        settings_.remember(settings)
        redis.write_config(settings)
    wanted = [program for program in programs(settings) if plan.has_flower or program.name != "flower"]
    with console.step("processes") as step:
        step.note(" ".join(program.name for program in wanted))
        supervisor.write_config(settings, wanted)
        supervisor.start(settings)
        if settings.uses_libvirt_here:
            libvirtd.wait(settings["LIBVIRT_URI"])
    with console.step("API") as step:
        waiting.for_api(settings, step)
    cloud = Cloud(settings)
    with console.step(f"{plan.hosts} hosts up") as step:
        waiting.for_hosts(settings, cloud, step)
    with console.step("image, flavor, quotas"):
        image = _image(cloud, plan, directory)
        flavor = _flavor(cloud)
        _lift_quotas(cloud)
    roots = {process.name: process.pid for process in supervisor.processes(settings)}
    return PrivateCloud(
        url=settings.local_url,
        admin_password=settings["ADMIN_PASSWORD"],
        image=image,
        flavor=flavor,
        database=settings["DATABASE_URL"],
        roots={**roots, "postgres": postmaster(settings["DATABASE_URL"])},
    )


def _heed_no_signal() -> None:
    """From here on everything is being stopped: a second ^C must not leave half of it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _stop(settings: Settings, console: Console) -> None:
    with console.step("stop"):
        try:
            if settings["KILONOVA_DRIVER"] == "libvirt" and state.is_ours(settings.state_dir):
                purge.guests_and_networks(settings, console)
        finally:
            if supervisor.is_up(settings):
                supervisor.stop(settings)
            leftovers.end(settings)


# --- what a run needs in the cloud ------------------------------------------------------------------------------------


def _image(cloud: Cloud, plan: Plan, directory: Path) -> str:
    """The id of the image: the tiny guest for libvirt, else a megabyte of zeros, which a simulated host never reads."""
    form = "qcow2" if plan.driver == "libvirt" else "raw"
    body = {"name": IMAGE, "disk_format": form, "container_format": "bare", "visibility": "public"}
    made = cloud.post("/image/v2/images", body)
    path = f"/image/v2/images/{made['id']}/file"
    if plan.driver == "libvirt":
        with guest_image.ensure(directory / "tiny").open("rb") as data:
            cloud.upload(path, data)
    else:
        cloud.upload(path, io.BytesIO(bytes(SIMULATED_IMAGE_BYTES)))
    return str(made["id"])


def _flavor(cloud: Cloud) -> str:
    # Of disk 0: the disk is as large as the image.
    body = {"name": FLAVOR, "ram": MEMORY_MIB, "vcpus": 1, "disk": 0, "id": "auto"}
    return str(cloud.post("/compute/v2.1/flavors", {"flavor": body})["flavor"]["id"])


def _lift_quotas(cloud: Cloud) -> None:
    projects = cloud.get("/identity/v3/projects?name=admin")["projects"]
    unlimited = {"instances": -1, "cores": -1, "ram": -1}
    cloud.call("PUT", f"/compute/v2.1/os-quota-sets/{projects[0]['id']}", json={"quota_set": unlimited})


# --- ports and processes ----------------------------------------------------------------------------------------------


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def postmaster(url: str) -> int:
    """PostgreSQL's main process: the parent of the one that serves us."""
    connection = psycopg2.connect(url)
    try:
        return cpu.parent_of(connection.info.backend_pid)
    finally:
        connection.close()
