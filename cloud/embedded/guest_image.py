"""The tiny guest image: built from Debian packages by `tiny/build.sh`, once, and anew when the builder changes."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from cloud.embedded.trouble import Trouble

BUILDER = Path(__file__).with_name("tiny")


def path(directory: Path) -> Path:
    """Where the image is, or will be."""
    return directory / "tiny.qcow2"


def is_current(directory: Path) -> bool:
    """Whether the image was built there from the builder's files as they are now."""
    stamp = directory / "built-from"
    return path(directory).is_file() and stamp.is_file() and stamp.read_text() == _digest()


def ensure(directory: Path) -> Path:
    """The image, built if need be: 10 s, and the first time the download of a kernel. Raises with the log's end."""
    if is_current(directory):
        return path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "build.log"
    with log.open("wb") as out:
        built = subprocess.run(
            [str(BUILDER / "build.sh"), str(directory)], stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False
        )
    if built.returncode != 0:
        raise Trouble("the tiny guest image could not be built", log=log)
    (directory / "built-from").write_text(_digest())
    return path(directory)


def _digest() -> str:
    digest = hashlib.sha256()
    for file in sorted(BUILDER.rglob("*")):
        if file.is_file():
            digest.update(f"{file.relative_to(BUILDER)}\0{file.stat().st_mode:o}\0".encode() + file.read_bytes())
    return digest.hexdigest()
