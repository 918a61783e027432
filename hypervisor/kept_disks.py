"""An instance's old disk, kept aside while a new one is tried: the same for every driver, since it is files alone.

`<instance directory>/aside-<action id>/{disk,disk.config,kept.json}`. `kept.json` is written first: it has the old
`made.json` and names the files that belong here, so that each of them is known to be either still in its place or here
already, wherever an interruption came.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypervisor import side_files
from hypervisor.errors import HypervisorFailed
from hypervisor.instance_files import InstanceFiles
from hypervisor.spec import Maker


class KeptDisks:
    """See `hypervisor.driver.KeptDisks`."""

    def __init__(self, files: InstanceFiles) -> None:
        self._files = files

    def set_aside(self, instance_id: str, maker: Maker) -> None:
        """See `hypervisor.driver.KeptDisks.set_aside`."""
        aside = self._aside(instance_id, maker)
        with _understood(f"setting the disk of instance {instance_id} aside"):
            kept = side_files.read(aside / "kept.json")
            if kept is None:
                self._files.directory(instance_id).mkdir(exist_ok=True)
                aside.mkdir(mode=0o700, exist_ok=True)
                kept = {
                    **(side_files.read(self._files.side_file(instance_id)) or {}),
                    "files": [path.name for path in self._places(instance_id) if path.exists()],
                }
                side_files.write(aside / "kept.json", kept, durable=self._files.is_durable)
            for place in self._places(instance_id):
                if place.name in kept["files"] and not (aside / place.name).exists():
                    place.rename(aside / place.name)
            self._sync(aside)

    def put_back(self, instance_id: str, maker: Maker) -> None:
        """See `hypervisor.driver.KeptDisks.put_back`."""
        aside = self._aside(instance_id, maker)
        with _understood(f"putting the old disk of instance {instance_id} back"):
            kept = side_files.read(aside / "kept.json")
            if kept is not None:
                files = kept.pop("files")
                for place in self._places(instance_id):
                    if place.name not in files:
                        place.unlink(missing_ok=True)
                    elif (aside / place.name).exists():
                        (aside / place.name).replace(place)
                if kept:
                    side_files.write(self._files.side_file(instance_id), kept, durable=self._files.is_durable)
                else:
                    self._files.side_file(instance_id).unlink(missing_ok=True)
                (aside / "kept.json").unlink()
            with contextlib.suppress(FileNotFoundError):
                aside.rmdir()

    def forget(self, instance_id: str, maker: Maker) -> None:
        """See `hypervisor.driver.KeptDisks.forget`."""
        aside = self._aside(instance_id, maker)
        doomed = aside.with_name(f"forgotten-{maker.action_id}")
        with _understood(f"removing the old disk of instance {instance_id}"):
            if aside.exists():
                aside.rename(doomed)  # at once: from here on there is no way back
            if doomed.exists():
                shutil.rmtree(doomed)

    def is_forgotten(self, instance_id: str, maker: Maker) -> bool:
        """See `hypervisor.driver.KeptDisks.is_forgotten`."""
        made = self._files.made(instance_id)
        is_own = made is not None and made.maker.action_id == maker.action_id
        return is_own and not self._aside(instance_id, maker).exists()

    def _aside(self, instance_id: str, maker: Maker) -> Path:
        return self._files.directory(instance_id) / f"aside-{maker.action_id}"

    def _places(self, instance_id: str) -> tuple[Path, Path]:
        return self._files.disk(instance_id), self._files.config_drive(instance_id)

    def _sync(self, aside: Path) -> None:
        if self._files.is_durable:
            side_files.sync_directory(aside)
            side_files.sync_directory(aside.parent)


@contextmanager
def _understood(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HypervisorFailed(f"{doing}: {error}") from error
