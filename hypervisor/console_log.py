"""Facet `Console`: the log of the guest's serial console, as virtlogd keeps it. The same for every driver.

virtlogd starts a new file at its size limit (2 MiB unless its settings say otherwise) and keeps the one before it as
`console.log.0`.
"""

from __future__ import annotations

from pathlib import Path

from hypervisor.errors import GuestNotFound
from hypervisor.instance_files import InstanceFiles

MOST_BYTES = 1024 * 1024


class LogConsole:
    """See `hypervisor.driver.Console`."""

    def __init__(self, files: InstanceFiles) -> None:
        self._files = files

    def output(self, instance_id: str, lines: int | None) -> str:
        """See `hypervisor.driver.Console.output`."""
        if not self._files.directory(instance_id).is_dir():
            raise GuestNotFound(f"instance {instance_id} has no files on this host")
        log = self._files.console_log(instance_id)
        kept = tail(log, MOST_BYTES)
        if len(kept) < MOST_BYTES:
            kept = tail(log.with_name(f"{log.name}.0"), MOST_BYTES - len(kept)) + kept
        return last_lines(kept.decode(errors="replace"), lines)


def tail(path: Path, most_bytes: int) -> bytes:
    """The file's last bytes; b"" when there is no such file."""
    try:
        with open(path, "rb") as stream:
            stream.seek(max(path.stat().st_size - most_bytes, 0))
            return stream.read(most_bytes)
    except FileNotFoundError:
        return b""


def last_lines(text: str, lines: int | None) -> str:
    """The last `lines` lines of `text`, as they are; all of it for None."""
    if lines is None:
        return text
    return "".join(text.splitlines(keepends=True)[-lines:]) if lines > 0 else ""
