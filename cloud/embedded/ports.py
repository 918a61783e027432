"""Ports that are taken, and by whom: found out before anything starts."""

from __future__ import annotations

import re
import socket
import subprocess

from cloud.embedded.settings import Settings
from cloud.embedded.trouble import Trouble

HOLDER = re.compile(r'\("(?P<name>[^"]+)",pid=(?P<pid>\d+)')


def check_free(settings: Settings) -> None:
    """Raises, naming the setting, the port and who holds it, when a port that we need is taken."""
    busy = []
    for address, name in (("API_HOST", "API_PORT"), ("FLOWER_ADDRESS", "FLOWER_PORT"), ("REDIS_HOST", "REDIS_PORT")):
        if not is_free(settings[address], settings.port(name)):
            held = holder(settings.port(name))
            busy.append(f"{name}={settings[name]} is taken" + (f" by {held}" if held else ""))
    if busy:
        advice = "Set another one (in .env or the environment), or stop that process."
        raise Trouble("; ".join(busy) + ". " + advice)


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == 98:  # EADDRINUSE
                return False
            raise Trouble(f"cannot listen at {host} port {port}: {error.strerror}") from error
    return True


def holder(port: int) -> str:
    """The process that listens on a port, as `name (pid N)`; empty when nobody can say."""
    try:
        found = subprocess.run(
            ["ss", "-H", "-l", "-t", "-n", "-p", f"sport = :{port}"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    match = HOLDER.search(found.stdout)
    return f"{match['name']} (pid {match['pid']})" if match else ""
