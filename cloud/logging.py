"""One line format in every process: `<time> <level> <request id> <message> <context> <module.function file:line>`.

Django-free: conductors, the API and compute workers call `configure` with the name of their process. With a `log_dir`
each process writes `<log_dir>/<process>.log`; without one, standard error. `debug` is a switch per process.
"""

from __future__ import annotations

import logging
import logging.handlers
import sys
import time
from pathlib import Path

from cloud import context

MAX_BYTES = 20 * 1024 * 1024
BACKUPS = 5
_QUIET = ("urllib3", "kombu", "amqp", "asyncio", "redis", "celery.worker.strategy", "celery.beat")


class LineFormatter(logging.Formatter):
    """Formats a record as the one line of this cloud; a traceback follows on lines of its own."""

    converter = staticmethod(time.gmtime)  # type: ignore[assignment]

    def format(self, record: logging.LogRecord) -> str:
        bound = context.current()
        extra = " ".join(f"{key}={value}" for key, value in bound.items() if key != "request_id")
        stamp = self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z"
        where = f"{record.module}.{record.funcName} {record.filename}:{record.lineno}"
        line = " ".join(
            part
            for part in (stamp, record.levelname, bound.get("request_id", "-"), record.getMessage(), extra, where)
            if part
        )
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def configure(process: str, *, log_dir: str | None = None, debug: bool = False) -> None:
    """Sends every logger of this process to its file (or standard error), in the one format."""
    handler: logging.Handler
    if log_dir:
        path = Path(log_dir)
        path.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(path / f"{process}.log", maxBytes=MAX_BYTES, backupCount=BACKUPS)
    else:
        handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    for noisy in _QUIET:
        logging.getLogger(noisy).setLevel(logging.INFO if debug else logging.WARNING)
    logging.getLogger("django.request").setLevel(logging.ERROR)  # a client's 404 is not worth a line
    if not debug:  # Celery logs what tasks return, which may hold user data and signed addresses
        logging.getLogger("celery.app.trace").setLevel(logging.WARNING)
