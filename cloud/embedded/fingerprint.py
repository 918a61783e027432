"""What the running processes were started from: code and settings. When neither changed, `up` has little to do."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cloud.embedded import tls
from cloud.embedded.settings import CHECKOUT, Settings

ROOMS = ("cloud", "instances", "scheduling", "hypervisor")


def current(settings: Settings) -> str:
    """A digest of the rooms' Python files (by path, size and time), the installed packages' list and the settings."""
    digest = hashlib.sha256(settings.env_file.read_bytes() + settings.compute_env_file.read_bytes())
    digest.update(tls.digest(settings).encode())
    files = [CHECKOUT / "manage.py", CHECKOUT / ".venv" / ".kilonova-run"]
    for room in ROOMS:
        files += sorted((CHECKOUT / room).rglob("*.py"))
    for file in files:
        if file.is_file():
            about = file.stat()
            digest.update(f"{file.relative_to(CHECKOUT)}\0{about.st_size}\0{about.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def remembered(settings: Settings) -> str:
    """The digest of the last `up` that came through; empty when there was none."""
    path = _path(settings)
    return path.read_text() if path.is_file() else ""


def remember(settings: Settings) -> None:
    """Notes that everything runs from what is there now."""
    _path(settings).write_text(current(settings))


def forget(settings: Settings) -> None:
    """Makes the next `up` do all its work."""
    _path(settings).unlink(missing_ok=True)


def _path(settings: Settings) -> Path:
    return settings.run_dir / "fingerprint"
