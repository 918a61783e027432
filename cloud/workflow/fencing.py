"""Power fencing: a command of the operator's, one for each host, that switches the machine off (rule R6).

It is asked for in the host's row; a conductor runs it, outside of any transaction. Exit status 0 says that the machine
is off now, and nothing else does. Docs: `docs/how-to/partitioned-hosts.md`.
"""

from __future__ import annotations

import logging
import os
import shlex
import signal
import subprocess
from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from cloud.celery import app
from cloud.errors import Conflict
from cloud.workflow.models import Host
from cloud.workflow.services import HostIsUp, confirm_fenced
from hypervisor import reports

log = logging.getLogger(__name__)

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHOWN = 800  # characters of a command's output
_MARGIN = 15.0  # seconds after its time limit in which a conductor notes what came of a command
_SHORTEST_SECRET = 4


class NoFenceCommand(Conflict):
    """The host has no fence command, or one that cannot be read."""

    code = "host.no_fence_command"


# --- asking -----------------------------------------------------------------------------------------------------------


def ask(host: Host) -> None:
    """Asks that the host be switched off; a conductor does it at once, or the next sweep has it done. Until then no
    hello of the host is answered, so that it cannot come back between.

    Raises HostIsUp (409), NoFenceCommand (409).
    """
    argv_of(host)
    asked = {"fence_asked_at": timezone.now(), "fence_began_at": None, "fence_said": "", "hello": ""}
    if not Host.objects.filter(pk=host.pk, is_up=False).update(**asked):
        raise HostIsUp(f"Host {host.name} is up; force its service down and wait until it is marked down.")
    log.warning("host %s is to be fenced", host.name)
    _send(host.name)


def ask_if_possible(name: str) -> None:
    """The same for a host that was just marked down; what is in the way is logged."""
    try:
        ask(Host.objects.get(name=name))
    except (NoFenceCommand, HostIsUp) as reason:
        log.error("host %s is not fenced: %s", name, reason.message)


def send_out() -> None:
    """Sends the fencings out that were asked for and that no conductor is at."""
    now = timezone.now()
    lost = now - timedelta(seconds=settings.FENCE_TIMEOUT + _MARGIN)
    free = Q(fence_began_at=None, fence_asked_at__lt=now - timedelta(seconds=2)) | Q(fence_began_at__lt=lost)
    for name in Host.objects.filter(free, fence_asked_at__isnull=False).values_list("name", flat=True):
        _send(name)


def _send(name: str) -> None:
    try:
        app.send_task("workflow.fence", args=[name], queue=reports.CONDUCTOR_QUEUE, retry=False)
    except Exception as error:  # the broker is away: kombu and redis have no common base
        log.warning("fencing of %s is not sent, the sweep will: %s: %s", name, type(error).__name__, error)


# --- doing ------------------------------------------------------------------------------------------------------------


def carry_out(name: str) -> bool:
    """Runs the host's fence command, if that was asked for and the host is down still; whether it is confirmed off.

    Call it outside of transactions: it takes up to FENCE_TIMEOUT seconds.
    """
    host = _taken(name)
    if host is None:
        return False
    is_off, said = _run(host)
    if is_off:
        try:
            confirm_fenced(host)
        except HostIsUp as reason:
            is_off, said = False, f"{said}; {reason.message}"
    Host.objects.filter(pk=name, fence_began_at=host.fence_began_at).update(
        fence_asked_at=None, fence_began_at=None, fence_said=f"{timezone.now():%Y-%m-%d %H:%M:%S} {said}"[:1024]
    )
    log.log(logging.WARNING if is_off else logging.ERROR, "fencing of host %s: %s", name, said)
    return is_off


def _taken(name: str) -> Host | None:
    """The host, when it is this conductor's to fence: one command at a time runs for a host."""
    now = timezone.now()
    lost = now - timedelta(seconds=settings.FENCE_TIMEOUT + _MARGIN)
    free = Q(fence_began_at=None) | Q(fence_began_at__lt=lost)
    mine = Host.objects.filter(free, pk=name, is_up=False, fence_asked_at__isnull=False)
    return Host.objects.get(pk=name) if mine.update(fence_began_at=now) else None


def argv_of(host: Host) -> list[str]:
    """The words of the host's command, `{host}` replaced by its name. No shell sees them. Raises NoFenceCommand."""
    try:
        words = shlex.split(host.fence_command)
    except ValueError as error:
        raise NoFenceCommand(f"The fence command of host {host.name} cannot be read: {error}.") from None
    if not words:
        raise NoFenceCommand(f"Host {host.name} has no fence command: give it one in the admin console, or confirm.")
    return [word.replace("{host}", host.name) for word in words]


def _run(host: Host) -> tuple[bool, str]:
    """Whether the command ended with 0, and what is to be said of it."""
    try:
        argv = argv_of(host)
        # Nothing of this process's environment: there are secrets in it.
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": _PATH, "LANG": "C.UTF-8", "KILONOVA_FENCE_HOST": host.name},
            cwd="/",
            start_new_session=True,
        )
    except (NoFenceCommand, OSError) as error:
        return False, f"the command could not be run: {type(error).__name__}: {error}"
    try:
        output, _ = process.communicate(timeout=settings.FENCE_TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return False, f"no end after {settings.FENCE_TIMEOUT:g} s{_shown(output, argv, host)}"
    return process.returncode == 0, f"exit status {process.returncode}{_shown(output, argv, host)}"


def _shown(output: bytes, argv: list[str], host: Host) -> str:
    """The output as it may be logged: what was given to the command (a password, an address) is not in it."""
    text = " ".join(output.decode(errors="replace").split())
    for word in sorted(argv[1:], key=len, reverse=True):
        if len(word) >= _SHORTEST_SECRET and word != host.name:
            text = text.replace(word, "***")
    return f": {text[:_SHOWN]}" if text else ""
