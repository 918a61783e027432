"""Where the copy of a system disk is while it becomes an image: `<instance>/snapshot.<action id>`, a note beside it.

The same for every driver. The note says that the copy is whole and what it is; without it the copy is unfinished.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict
from pathlib import Path

from hypervisor import side_files
from hypervisor.driver import DiskCopy, Progress
from hypervisor.errors import UploadRefused
from hypervisor.instance_files import InstanceFiles
from hypervisor.spec import Maker

_CHUNK_BYTES = 1024 * 1024


class DiskCopies:
    """The copies on one host."""

    def __init__(self, files: InstanceFiles) -> None:
        self._files = files

    def path(self, instance_id: str, maker: Maker) -> Path:
        """The copy that this action makes."""
        return self._files.directory(instance_id) / f"snapshot.{maker.action_id}"

    def finished(self, instance_id: str, maker: Maker) -> DiskCopy | None:
        """The whole copy that this action made from these inputs; None when there is none."""
        path = self.path(instance_id, maker)
        note = side_files.read(_note(path))
        if note is None or note.get("digest") != maker.digest or not path.exists():
            return None
        return DiskCopy(**note["copy"])

    def required(self, instance_id: str, maker: Maker) -> DiskCopy:
        """The same. Errors: UploadRefused when there is none."""
        found = self.finished(instance_id, maker)
        if found is None:
            raise UploadRefused(f"instance {instance_id}: this host has no copy of its disk made by this action")
        return found

    def finish(
        self, instance_id: str, maker: Maker, virtual_size: int, progress: Progress, *, is_noted: bool = False
    ) -> DiskCopy:
        """Says of the copy that it is whole, after reading it and making it durable; what it is."""
        path = self.path(instance_id, maker)
        md5, sha512, size = hashlib.md5(usedforsecurity=False), hashlib.sha512(), 0
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
            while piece := stream.read(_CHUNK_BYTES):
                md5.update(piece)
                sha512.update(piece)
                size += len(piece)
                progress(None, "computing the checksum of the snapshot")
        copy = DiskCopy(
            disk_format="qcow2",
            size_bytes=size,
            virtual_size_bytes=virtual_size,
            md5=md5.hexdigest(),
            sha512=sha512.hexdigest(),
            is_noted=is_noted,
        )
        note = {"digest": maker.digest, "copy": asdict(copy)}
        side_files.write(_note(path), note, durable=self._files.is_durable)
        return copy

    def remove_others(self, instance_id: str, maker: Maker) -> None:
        """Removes what actions that are over left: only the one that holds the target makes a copy of its disk."""
        own = {self.path(instance_id, maker), _note(self.path(instance_id, maker))}
        for path in self._files.directory(instance_id).glob("snapshot.*"):
            if path not in own:
                path.unlink(missing_ok=True)

    def remove(self, instance_id: str, maker: Maker) -> None:
        """After it neither copy nor note of this action is left."""
        path = self.path(instance_id, maker)
        _note(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")
