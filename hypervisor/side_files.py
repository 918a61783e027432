"""Small JSON files that stand beside what was made and say of it what the thing itself cannot carry.

A reader sees the old content or the new, never half of it: files are written beside their place and renamed over it.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path
from typing import Any


def write(path: Path, data: dict[str, Any], *, durable: bool = True) -> None:
    """After it `path` holds `data`, whoever is killed. `durable`: after a power loss too, for two fsyncs."""
    draft = f"{path}.{os.getpid()}-{threading.get_ident()}.draft"
    content = json.dumps(data, sort_keys=True).encode()
    try:
        with open(draft, "wb") as stream:
            stream.write(content)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
        raise
    if durable:
        sync_directory(path.parent)


def read(path: Path) -> dict[str, Any] | None:
    """The file's content; None when there is no such file, or none that `write` could have written."""
    try:
        with open(path, "rb") as stream:
            data = json.loads(stream.read())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def sync_directory(directory: Path) -> None:
    """Makes renames and unlinks in `directory` survive a power loss."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
