"""Gunicorn's settings for the API: a few processes of threads, one connection to the database each thread. With
`API_TLS_CERT` and `API_TLS_KEY`, files in PEM, it speaks https."""

import ctypes
import os
import signal
import ssl
from collections.abc import Callable
from typing import Any

bind = f"{os.environ.get('API_HOST', '127.0.0.1')}:{os.environ.get('API_PORT', '8774')}"
workers = int(os.environ.get("API_WORKERS", "2"))
threads = int(os.environ.get("API_THREADS", "4"))
worker_class = "gthread"
timeout = 600  # image uploads
graceful_timeout = 20
keepalive = 75
accesslog = None
errorlog = "-"
proc_name = "kilonova-api"
certfile = os.environ.get("API_TLS_CERT") or None
keyfile = os.environ.get("API_TLS_KEY") or None
control_socket_disable = True  # one path in HOME for every gunicorn of the user, and nobody asks it anything


def ssl_context(config: Any, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """TLS 1.2 and later."""
    context = default()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def post_fork(server: object, worker: object) -> None:
    """When the first process is killed its workers end with it. They would go on accepting on the port for a second,
    answer some requests, reset others, and keep the new first process from listening."""
    death_signal = 1  # PR_SET_PDEATHSIG
    ctypes.CDLL(None).prctl(death_signal, signal.SIGKILL)


def post_worker_init(worker: object) -> None:
    """Each API process keeps the service row of this machine's API fresh."""
    from cloud.workflow.presence import announce

    announce("kilonova-api")
