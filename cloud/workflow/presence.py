"""The service row of this process's role: that it is there, renewed by a thread for as long as the process lives."""

from __future__ import annotations

import logging
import socket
import threading

from django.conf import settings
from django.db import connection
from django.utils import timezone

from cloud.workflow.models import Service

log = logging.getLogger(__name__)


def announce(*binaries: str) -> None:
    """Starts the thread that keeps the rows of `binaries` on this machine fresh."""
    thread = threading.Thread(target=_keep_fresh, args=(binaries, socket.gethostname()), daemon=True, name="presence")
    thread.start()


def see(binary: str, host: str) -> None:
    """Marks a role as seen now; makes its row at the first sight."""
    now = timezone.now()
    rows = Service.objects.filter(binary=binary, host=host)
    if not rows.update(last_seen_at=now):
        Service.objects.get_or_create(binary=binary, host=host, defaults={"last_seen_at": now})


def _keep_fresh(binaries: tuple[str, ...], host: str) -> None:
    pause = threading.Event()
    while True:
        try:
            for binary in binaries:
                see(binary, host)
        except Exception as error:  # the database is away: the next round may find it
            log.warning("%s: %s", type(error).__name__, error)
            connection.close()
        pause.wait(settings.HEARTBEAT_INTERVAL)
