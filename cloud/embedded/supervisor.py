"""The one supervisor of this machine's programs: its configuration, starting it, and asking it things.

supervisord restarts whatever ends; it listens on a unix socket that root alone may use. Its configuration is generated
from `programs.py`; its own environment is clean, so that nothing of the caller's shell reaches a program.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
import xmlrpc.client
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from cloud.embedded import envfile
from cloud.embedded.programs import BROKER, CLOUD, GROUPS, Program, python_path, tool
from cloud.embedded.settings import CHECKOUT, Settings
from cloud.embedded.trouble import Trouble

MARK = "KILONOVA_SUPERVISED"  # in the environment of each process that we run: <state directory>:<program>
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, kw_only=True)
class ProcessState:
    """One program as the supervisor sees it. `since` is in epoch seconds."""

    name: str
    group: str
    state: str  # supervisord's word: RUNNING STARTING BACKOFF STOPPING STOPPED EXITED
    pid: int
    since: float
    description: str

    @property
    def is_running(self) -> bool:
        return self.state == "RUNNING"


def config_path(settings: Settings) -> Path:
    return settings.run_dir / "supervisord.conf"


def socket_path(settings: Settings) -> Path:
    return settings.run_dir / "supervisor.sock"


def output_path(settings: Settings, name: str) -> Path:
    """Where a program's standard output and error go."""
    return settings.logs_dir / f"{name}.out.log"


def clean_environment() -> dict[str, str]:
    """All that a program inherits: no setting, no secret, no proxy of the caller's shell."""
    return {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "PYTHONPATH": python_path(), "PYTHONUNBUFFERED": "1"}


# --- configuration --------------------------------------------------------------------------------------------------


def render(settings: Settings, programs: Sequence[Program]) -> str:
    """supervisord.conf as text."""
    run = settings.run_dir
    sections = [
        "; Written by `./kilonova up`.",
        f"[unix_http_server]\nfile={_value(socket_path(settings))}\nchmod=0700",
        f"[supervisord]\nlogfile={_value(settings.logs_dir / 'supervisord.log')}\nlogfile_maxbytes=5MB\n"
        f"logfile_backups=2\npidfile={_value(run / 'supervisord.pid')}\nchildlogdir={_value(run)}\n"
        f"directory={_value(CHECKOUT)}\numask=077\nidentifier=kilonova\nnocleanup=true"
        + ("\nuser=root" if os.geteuid() == 0 else ""),
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        f"[supervisorctl]\nserverurl=unix://{_value(socket_path(settings))}",
    ]
    for priority, group in enumerate(GROUPS, start=1):
        names = [program.name for program in programs if program.group == group]
        if names:
            sections.append(f"[group:{group}]\nprograms={','.join(names)}\npriority={priority}")
    sections += [_program_section(settings, program, order) for order, program in enumerate(programs, start=1)]
    return "\n\n".join(sections) + "\n"


def _program_section(settings: Settings, program: Program, order: int) -> str:
    environment = {MARK: f"{settings.state_dir}:{program.name}", **program.environment}
    pairs = ",".join(f'{name}="{_value(value)}"' for name, value in environment.items())
    return "\n".join(
        [
            f"[program:{program.name}]",
            f"command={' '.join(_argument(word) for word in program.command)}",
            f"environment={pairs}",
            f"directory={_value(CHECKOUT)}",
            f"priority={order}",
            "autostart=true",
            "autorestart=true",
            "startsecs=1",
            "startretries=1000000",
            "stopsignal=TERM",
            f"stopwaitsecs={program.stop_seconds}",
            f"umask={program.umask}",
            "redirect_stderr=true",
            f"stdout_logfile={_value(output_path(settings, program.name))}",
            "stdout_logfile_maxbytes=10MB",
            "stdout_logfile_backups=2",
        ]
    )


def _value(value: object) -> str:
    """A value for supervisord.conf: `%` is doubled, and what would end or comment out the value is refused."""
    text = str(value)
    if any(char in text for char in '\n\r"\\') or " ;" in text:
        raise Trouble(f"supervisord cannot be given a line break, a quotation mark, a backslash or ' ;': {text!r}")
    return text.replace("%", "%%")


def _argument(word: str) -> str:
    return f'"{_value(word)}"' if " " in word or "'" in word else _value(word)


def write_config(settings: Settings, programs: Sequence[Program]) -> bool:
    """Writes the configuration; says whether it differs from the one that was there."""
    text = render(settings, programs)
    path = config_path(settings)
    if path.exists() and path.read_text() == text:
        return False
    envfile.write_private(path, text)
    return True


# --- the running supervisor -----------------------------------------------------------------------------------------


def is_up(settings: Settings) -> bool:
    """Whether the supervisor answers at its socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(socket_path(settings)))
        except OSError:
            return False
    return True


def start(settings: Settings, *, timeout: float = 20.0) -> None:
    """Starts supervisord as a daemon, and with it every program; returns when it answers."""
    log = settings.logs_dir / "supervisord.log"
    command = [tool("python"), "-m", "cloud.embedded.supervisord", "-c", str(config_path(settings))]
    begun = subprocess.run(
        command, cwd=CHECKOUT, env=clean_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if begun.returncode != 0:
        raise Trouble("supervisord did not start", details=begun.stdout + begun.stderr, log=log)
    _until(lambda: is_up(settings), timeout, Trouble("supervisord started and does not answer", log=log))


def stop(settings: Settings, *, timeout: float = 120.0) -> None:
    """Stops every program, group by group from the last, then the supervisor; returns when it is gone."""
    pid = int(_call(settings, "supervisor.getPID"))
    _call(settings, "supervisor.shutdown")
    _until(
        lambda: not os.path.exists(f"/proc/{pid}"),
        timeout,
        Trouble(f"supervisord (pid {pid}) is still there", log=settings.logs_dir / "supervisord.log"),
    )


def processes(settings: Settings) -> list[ProcessState]:
    """Every program with its state; none when the supervisor does not run."""
    if not is_up(settings):
        return []
    return [
        ProcessState(
            name=info["name"],
            group=info["group"],
            state=info["statename"],
            pid=info["pid"],
            since=float(info["start"]),
            description=info["description"],
        )
        for info in _call(settings, "supervisor.getAllProcessInfo")
    ]


def restart(settings: Settings, name: str) -> None:
    """Stops one program, waits for it, starts it again."""
    process = named(settings, name)
    full = f"{process.group}:{process.name}"
    if process.state in {"RUNNING", "STARTING", "BACKOFF"}:
        _call(settings, "supervisor.stopProcess", full, True)
    _call(settings, "supervisor.startProcess", full, True)


def stop_group(settings: Settings, group: str) -> None:
    """Stops all programs of a group at once; returns when they are gone."""
    if any(process.group == group for process in processes(settings)):
        _call(settings, "supervisor.stopProcessGroup", group, True)


def restart_cloud(settings: Settings, *, with_broker: bool) -> None:
    """Restarts the cloud's own programs, and between their stop and start the broker too. Not libvirt's daemons."""
    stop_group(settings, CLOUD)
    if with_broker:
        stop_group(settings, BROKER)
        start_group(settings, BROKER)
    start_group(settings, CLOUD)


def start_group(settings: Settings, group: str) -> None:
    """Starts all programs of a group, if there are any."""
    if any(process.group == group for process in processes(settings)):
        _call(settings, "supervisor.startProcessGroup", group, False)


def named(settings: Settings, name: str) -> ProcessState:
    """The program of that name; an unknown one is refused with the names that there are."""
    known = processes(settings)
    for process in known:
        if process.name == name:
            return process
    raise Trouble(f"there is no process {name!r} here; there are: {' '.join(process.name for process in known)}")


def _call(settings: Settings, method: str, *arguments: Any) -> Any:
    transport = SupervisorTransport(None, None, f"unix://{socket_path(settings)}")
    server = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
    try:
        target: Any = server
        for part in method.split("."):
            target = getattr(target, part)
        return target(*arguments)
    except xmlrpc.client.Fault as fault:
        raise Trouble(f"the supervisor refused {method}: {fault.faultString}") from fault
    except OSError as error:
        raise Trouble(
            f"the supervisor does not answer ({error}); `./kilonova up` starts it",
            log=settings.logs_dir / "supervisord.log",
        ) from error
    finally:
        transport.close()


def _until(condition: Callable[[], bool], timeout: float, trouble: Trouble) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise trouble
        time.sleep(0.1)
