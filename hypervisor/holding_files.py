"""What a host holds in files, the same for every driver: directories of instances, base images, plugged ports.

What nobody owns is removed through here too. A directory that might be somebody's after all is set aside instead, as
`<instances dir>/set-aside/<name>`, where nothing of the cloud looks again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from hypervisor import file_locks, side_files
from hypervisor.errors import HypervisorFailed
from hypervisor.holdings import BaseFound, DirectoryFound, FileFound, PortFound, directory_named
from hypervisor.instance_files import InstanceFiles
from hypervisor.port_records import PortRecords

log = logging.getLogger(__name__)

_MOST_FILES = 100  # of one directory: nothing that the cloud makes has so many
_BESIDE_A_BASE = re.compile(r"[0-9a-f]{128}(\.json|\.lock|\.\d+\.part)|.*\.draft|\..*")


class HoldingFiles:
    """The files of one host."""

    def __init__(self, files: InstanceFiles, base_dir: Path, records: PortRecords) -> None:
        self._files = files
        self._base_dir = base_dir
        self._records = records

    # --- what there is ---

    def storage_id(self) -> str:
        """See `InstanceFiles.storage_id`."""
        return self._files.storage_id()

    def directories(self) -> tuple[DirectoryFound, ...]:
        """Every entry of the instances' directory that the cloud made, with its files."""
        found = (self._directory(name) for name in _names(self._files.root))
        return tuple(directory for directory in found if directory is not None)

    def _directory(self, name: str) -> DirectoryFound | None:
        if directory_named(name) is None:
            return None
        path = self._files.root / name
        made = side_files.read(path / "made.json") or {}
        return directory_named(name, tuple(_files_below(path)), str(made.get("action", "")))

    def bases(self) -> tuple[BaseFound, ...]:
        """Every base image in the cache, and any other file there that is not one's side file."""
        used = self._files.bases_in_use()
        return tuple(base for name in _names(self._base_dir) if (base := self._base(name, used)) is not None)

    def _base(self, name: str, used: set[str]) -> BaseFound | None:
        path = self._base_dir / name
        with contextlib.suppress(FileNotFoundError):
            if not _BESIDE_A_BASE.fullmatch(name) and path.is_file():
                size = path.stat().st_size
                return BaseFound(name=name, size_bytes=size, is_used=str(path) in used, used_at=_used_at(path))
        return None

    def ports(self) -> dict[str, tuple[PortFound, ...]]:
        """The plugged ports, by network."""
        networks = [name for name in _names(self._records.root) if (self._records.root / name).is_dir()]
        return {network: tuple(self._ports_of(network)) for network in networks}

    def _ports_of(self, network_id: str) -> Iterator[PortFound]:
        for record in self._records.of_network(network_id):
            if not record.instance_id:  # a damaged record: the next plug of its port writes it anew
                continue
            yield PortFound(
                network_id=network_id,
                port_id=record.port_id,
                instance_id=record.instance_id,
                mac=record.mac,
                ip=record.ip,
            )

    # --- what nobody owns goes ---

    def set_aside(self, name: str) -> None:
        """See `hypervisor.driver.Holdings.set_aside`."""
        source = self._own(name)
        kept = self._files.root / "set-aside"
        kept.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # it is aside already
            place = kept / name
            if place.exists():  # an earlier one of that name: both are kept
                place = kept / f"{name}.{os.stat(source).st_ino}"
            os.rename(source, place)
            side_files.sync_directory(kept)
            log.warning("directory %s, which nobody knows, is set aside as %s", name, place)

    def remove_directory(self, name: str) -> None:
        """See `hypervisor.driver.Holdings.remove_directory`."""
        source = self._own(name)
        # Renamed first, so that a half removed one never looks like an instance's.
        doomed = source if name.startswith(".removing-") else source.with_name(f".removing-{name}")
        if doomed != source:
            with contextlib.suppress(FileNotFoundError):
                os.rename(source, doomed)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(doomed)
            log.warning("directory %s, which nobody owns any more, is removed", name)

    def remove_base(self, name: str, used_at: float) -> bool:
        """See `hypervisor.driver.Holdings.remove_base`."""
        path = self._base_dir / name
        if Path(name).name != name or self._base(name, set()) is None:
            return not path.exists()
        lock = self._base_dir / f"{name}.lock"
        with file_locks.tried(lock, file_locks.EXCLUSIVE) as got:
            if not got or str(path) in self._files.bases_in_use() or _used_at(path) > used_at:
                return False
            path.unlink(missing_ok=True)
            path.with_name(f"{name}.json").unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
        log.warning("base image %s, which nobody knows and nothing stands on, is removed", name[:16])
        return True

    def _own(self, name: str) -> Path:
        if directory_named(name) is None:
            raise HypervisorFailed(f"{name!r} is no directory of an instance")
        return self._files.root / name


def _names(directory: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return sorted(os.listdir(directory))
    return []


def _files_below(directory: Path) -> Iterator[FileFound]:
    """Its files; those that go while it is read are left out."""
    count = 0
    for parent, _, names in os.walk(directory):
        for name in sorted(names):
            path = Path(parent, name)
            with contextlib.suppress(FileNotFoundError):
                yield FileFound(name=str(path.relative_to(directory)), size_bytes=path.lstat().st_size)
            count += 1
            if count == _MOST_FILES:
                return


def _used_at(base: Path) -> float:
    """When a fetch last asked for it: that touches its side file."""
    for path in (base.with_name(f"{base.name}.json"), base):
        with contextlib.suppress(FileNotFoundError):
            return path.stat().st_mtime
    return 0.0
