"""The state directory: one cloud's, marked as ours, traversable for QEMU and secret in everything that is secret."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cloud.embedded.settings import Settings
from cloud.embedded.trouble import Trouble

MARKER = ".kilonova-state"
MARKER_TEXT = "This is the state directory of a Kilonova cloud. `./kilonova down --purge` removes it whole.\n"

# QEMU runs as a user of its own and must reach instances/ and base/ through this directory: x for all, r for root.
TRAVERSABLE = 0o711
SECRET = 0o700


def is_ours(state_dir: Path) -> bool:
    """Whether a cloud was prepared in this directory."""
    return (state_dir / MARKER).is_file()


def prepare(settings: Settings) -> None:
    """Makes the directories and sets their modes. A directory with somebody else's files in it is refused."""
    root = settings.state_dir
    if root.is_symlink() or (root.exists() and not root.is_dir()):
        raise Trouble(f"KILONOVA_STATE_DIR={root} is not a directory")
    if root.exists() and not is_ours(root) and any(root.iterdir()):
        raise Trouble(f"KILONOVA_STATE_DIR={root} has files in it that are not Kilonova's: name an empty directory")
    root.mkdir(parents=True, exist_ok=True)
    for parent in root.parents if settings["KILONOVA_DRIVER"] == "libvirt" else ():
        if not parent.stat().st_mode & 0o001:
            raise Trouble(f"KILONOVA_STATE_DIR={root}: QEMU's user cannot pass through {parent} (chmod o+x {parent})")
    root.chmod(TRAVERSABLE)
    (root / MARKER).write_text(MARKER_TEXT)
    for secret in (settings.run_dir, settings.logs_dir, root / "redis", Path(settings["IMAGES_DIR"])):
        secret.mkdir(parents=True, exist_ok=True)
        secret.chmod(SECRET)
    Path(settings["STATIC_ROOT"]).mkdir(parents=True, exist_ok=True)
    for open_to_qemu in (root / "instances", root / "base"):
        open_to_qemu.mkdir(exist_ok=True)
        open_to_qemu.chmod(TRAVERSABLE)


def require(settings: Settings) -> None:
    """Raises when there is no cloud in the state directory."""
    if not is_ours(settings.state_dir):
        raise Trouble(f"there is no cloud in {settings.state_dir} (KILONOVA_STATE_DIR): run `./kilonova up` first")


def remove(settings: Settings) -> None:
    """Deletes the state directory with all that is in it; refuses one that carries no marker of ours."""
    root = settings.state_dir
    if not is_ours(root):
        raise Trouble(f"{root} does not carry the marker {MARKER}: it is not Kilonova's, and nothing in it was removed")
    if root == Path(root.root) or len(root.parts) < 3:
        raise Trouble(f"refusing to remove {root}")
    if os.path.ismount(root):
        for entry in root.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    else:
        shutil.rmtree(root)


@contextmanager
def one_at_a_time(settings: Settings) -> Iterator[None]:
    """Keeps two commands from changing one cloud at once."""
    descriptor = os.open(settings.state_dir, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Trouble(f"another ./kilonova command is changing the cloud in {settings.state_dir}; wait for it")
        yield
    finally:
        os.close(descriptor)
