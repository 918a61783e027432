"""What runs on this machine: every program, its command, its environment and how long it may take to stop.

No secret stands in a command or in an environment here, save Flower's own login: the processes read their settings from
`kilonova.env` (the parts with the database) or `compute.env` (the compute worker), named by KILONOVA_ENV_FILE.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cloud.embedded import libvirtd, redis, tls
from cloud.embedded.settings import CHECKOUT, ROLES, Settings

# Groups stop from the last to the first: what uses the broker and libvirt is stopped before them, all at once.
MACHINE, BROKER, CLOUD = "machine", "broker", "cloud"
GROUPS = (MACHINE, BROKER, CLOUD)


@dataclass(frozen=True, kw_only=True)
class Program:
    """One supervised program. `stop_seconds`: after SIGTERM, before SIGKILL."""

    name: str
    group: str
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_seconds: int = 20
    umask: str = "077"


def programs(settings: Settings) -> tuple[Program, ...]:
    """All of this machine's programs, in the order in which they start."""
    machine = []
    if settings.uses_libvirt_here:
        machine = [_daemon(daemon) for daemon in libvirtd.DAEMONS if libvirtd.is_ours_to_run(daemon)]
    broker = [_redis(settings)] if settings.has_embedded_broker else []
    return (*machine, *broker, *cloud_programs(settings))


def _daemon(daemon: libvirtd.Daemon) -> Program:
    return Program(name=daemon.name, group=MACHINE, command=daemon.command, umask="022")


def _redis(settings: Settings) -> Program:
    return Program(name="redis", group=BROKER, command=["/usr/bin/redis-server", str(redis.config_path(settings))])


def cloud_programs(settings: Settings) -> tuple[Program, ...]:
    """The cloud's own programs, of this machine's roles."""
    made = {"api": _api, "conductor": _conductor, "beat": _beat, "compute": _compute_workers, "flower": _flower}
    return tuple(program for role in ROLES if role in settings.roles for program in made[role](settings))


def _django(settings: Settings, **more: str) -> dict[str, str]:
    return {"KILONOVA_ENV_FILE": str(settings.env_file), "DJANGO_SETTINGS_MODULE": "cloud.settings", **more}


def _api(settings: Settings) -> list[Program]:
    listens = {name: settings.get(name) for name in ("API_HOST", "API_PORT", "API_WORKERS", "API_THREADS")}
    program = Program(
        name="api",
        group=CLOUD,
        command=[tool("gunicorn"), "cloud.wsgi:application", "-c", "cloud/gunicorn.py"],
        environment=_django(settings, **{name: value for name, value in listens.items() if value}, **_tls(settings)),
        stop_seconds=25,
    )
    return [program]


def _tls(settings: Settings) -> dict[str, str]:
    pair = tls.server(settings)
    return {"API_TLS_CERT": str(pair.certificate), "API_TLS_KEY": str(pair.key)} if settings.has_tls else {}


def _conductor(settings: Settings) -> list[Program]:
    name, processes = f"conductor@{settings.machine}", settings["CONDUCTOR_PROCESSES"]
    program = Program(
        name="conductor",
        group=CLOUD,
        command=[
            *_celery("cloud.celery", "worker"),
            *("-Q", "conductor,scheduler", "-n", name, "-c", processes, "-E", "--without-gossip", "--without-mingle"),
        ],
        environment=_django(settings, KILONOVA_PROCESS="conductor"),
        stop_seconds=30,
    )
    return [program]


def _beat(settings: Settings) -> list[Program]:
    program = Program(
        name="beat",
        group=CLOUD,
        command=[*_celery("cloud.celery", "beat"), "-s", str(settings.run_dir / "beat-schedule"), "--pidfile="],
        environment=_django(settings, KILONOVA_PROCESS="beat"),
    )
    return [program]


def _flower(settings: Settings) -> list[Program]:
    login, pair = f"admin:{settings['FLOWER_PASSWORD']}", tls.server(settings)
    program = Program(
        name="flower",
        group=CLOUD,
        command=[
            *_celery("cloud.celery", "flower"),
            *(f"--address={settings['FLOWER_ADDRESS']}", f"--port={settings['FLOWER_PORT']}"),
            *([f"--certfile={pair.certificate}", f"--keyfile={pair.key}"] if settings.has_tls else []),
        ],
        environment=_django(settings, FLOWER_BASIC_AUTH=login, KILONOVA_PROCESS="flower"),
        stop_seconds=10,
    )
    return [program]


def _compute_workers(settings: Settings) -> list[Program]:
    return [
        _compute(settings, "compute", "", settings["STEP_THREADS"]),
        _compute(settings, "compute-ctl", ".ctl", "2"),
    ]


def _compute(settings: Settings, name: str, suffix: str, threads: str) -> Program:
    """A compute worker: nothing of the database reaches it, and what it makes may be read by QEMU's user."""
    queues = ",".join(f"compute.{host}{suffix}" for host in settings.hosts)
    environment = {"KILONOVA_ENV_FILE": str(settings.compute_env_file)}
    if suffix:
        environment["KILONOVA_CTL"] = "1"
    return Program(
        name=name,
        group=CLOUD,
        command=[
            *_celery("hypervisor.worker", "worker"),
            *("-P", "threads", "-c", threads, "-Q", queues, "-n", f"{name}@{settings.hosts[0]}"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        ],
        environment=environment,
        stop_seconds=45,
        umask="022",
    )


def _celery(app: str, command: str) -> list[str]:
    return [tool("celery"), "-A", app, command]


def tool(name: str) -> str:
    """A command of the virtual environment that runs this."""
    return str(Path(sys.executable).with_name(name))


def python_path() -> str:
    """Where the rooms are found."""
    return str(CHECKOUT)
