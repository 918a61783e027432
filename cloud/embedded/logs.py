"""`./kilonova logs`: what the processes say. Each has a log of its own and one of its standard output."""

from __future__ import annotations

import os
from pathlib import Path

from cloud.embedded import supervisor
from cloud.embedded.settings import Settings
from cloud.embedded.trouble import Trouble


def files(settings: Settings, process: str | None) -> list[Path]:
    """The logs of one process, or of all; the ones without a line are left out."""
    everything = sorted(path for path in settings.logs_dir.glob("*.log") if path.stat().st_size)
    if process is None:
        return everything
    known = [p.name for p in supervisor.processes(settings)] or sorted({_process(path) for path in everything})
    known.append("supervisord")
    if process not in known:
        raise Trouble(f"there is no process {process!r}; there are: {' '.join(known)}")
    return [path for path in everything if _process(path) == process]


def show(settings: Settings, process: str | None, *, follow: bool, lines: int) -> None:
    """Becomes `tail` on them; does not return."""
    found = files(settings, process)
    if not found:
        raise Trouble(f"no logs in {settings.logs_dir}" + (f" of {process}" if process else ""))
    arguments = ["tail", "-n", str(lines), *(["-F"] if follow else []), *map(str, found)]
    os.execvp("tail", arguments)


def _process(path: Path) -> str:
    """`api.log` and `api.out.log` are api's."""
    return path.name.removesuffix(".log").removesuffix(".out")
