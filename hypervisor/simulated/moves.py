"""Facet `Moves` as notes. Simulated hosts are on one machine: a peer's file is read where the peer says that it is."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from hypervisor import side_files
from hypervisor.driver import BaseImage, Images, Progress
from hypervisor.errors import CopyDamaged, DiskLost, DiskTooSmall, HypervisorFailed, PeerUnreachable
from hypervisor.image_cache import ImageCache
from hypervisor.instance_files import InstanceFiles, Made
from hypervisor.moves import AsideDisk, DiskOrigin
from hypervisor.simulated.disks import write_config_drive
from hypervisor.simulated.faults import Faults
from hypervisor.spec import GuestSpec, ImageSource, Maker

_GIB = 1024**3


class SimulatedMoves:
    """See `hypervisor.driver.Moves`. `cache` is None where images are notes too."""

    def __init__(
        self, files: InstanceFiles, images: Images, cache: ImageCache | None, base_dir: Path, faults: Faults
    ) -> None:
        self._files = files
        self._images = images
        self._cache = cache
        self._base_dir = base_dir
        self._faults = faults

    def describe(self, instance_id: str) -> DiskOrigin:
        """See `hypervisor.driver.Moves.describe`."""
        with self._faults.around("moves.describe"):
            note = side_files.read(self._files.disk(instance_id))
            if note is None:
                raise DiskLost(f"instance {instance_id} has no disk here")
            if not note["backing"]:
                return DiskOrigin(virtual_size_bytes=note["size_bytes"])
            base = Path(note["backing"])
            return DiskOrigin(
                virtual_size_bytes=note["size_bytes"],
                base=str(base),
                base_format=note["backing_format"],
                base_size_bytes=base.stat().st_size,
                base_virtual_bytes=_virtual_bytes(base),
            )

    def bring_base(self, image: ImageSource, origin: DiskOrigin, peer: str, progress: Progress) -> BaseImage | None:
        """See `hypervisor.driver.Moves.bring_base`."""
        with self._faults.around("moves.bring_base", progress):
            if not origin.base:
                return None
            name = Path(origin.base).name
            if image.url and image.sha512 == name:
                return self._images.fetch(image, progress)
            if self._cache is not None:
                wanted = dataclasses.replace(
                    image,
                    sha512=name,
                    disk_format=origin.base_format,
                    size_bytes=origin.base_size_bytes,
                    virtual_size_bytes=origin.base_virtual_bytes,
                )
                return self._cache.fetch(wanted, progress, _pieces(origin.base))
            path = self._base_dir / name
            if not path.exists():
                path.write_bytes(_read(origin.base))
            return BaseImage(
                path=str(path), disk_format=origin.base_format, virtual_size_bytes=origin.base_virtual_bytes
            )

    def set_aside(self, instance_id: str, action_id: str, *, hashes: bool, progress: Progress) -> AsideDisk:
        """See `hypervisor.driver.Moves.set_aside`."""
        with self._faults.around("moves.set_aside", progress):
            try:
                disk = self._files.set_aside(instance_id, action_id) / "disk"
                content = disk.read_bytes()
            except FileNotFoundError as error:
                raise DiskLost(f"instance {instance_id} has no disk here: {error}") from error
            sha256 = hashlib.sha256(content).hexdigest() if hashes else ""
            return AsideDisk(action_id=action_id, path=str(disk), size_bytes=len(content), sha256=sha256)

    def check_aside(self, instance_id: str, action_id: str) -> None:
        """See `hypervisor.driver.Moves.check_aside`."""
        with self._faults.around("moves.check_aside"):
            disk = self._files.aside(instance_id, action_id) / "disk"
            if not disk.exists():
                raise DiskLost(f"the disk that was kept of instance {instance_id} is not there: {disk}")

    def put_back(self, instance_id: str, action_id: str) -> bool:
        """See `hypervisor.driver.Moves.put_back`."""
        with self._faults.around("moves.put_back"):
            try:
                return self._files.put_back(instance_id, action_id)
            except OSError as error:
                raise HypervisorFailed(f"the kept disk of {instance_id} cannot be put back: {error}") from error

    def bring_disk(
        self,
        guest: GuestSpec,
        aside: AsideDisk,
        base: BaseImage | None,
        peer: str,
        maker: Maker,
        progress: Progress,
    ) -> None:
        """See `hypervisor.driver.Moves.bring_disk`."""
        with self._faults.around("moves.bring_disk", progress):
            made = self._files.made(guest.instance_id)
            if made and made.is_complete and made.maker == maker:
                return
            mine = Made(maker=maker, base=base.path if base else "", is_complete=False)
            self._files.sign(guest.instance_id, mine)
            if not peer:
                self.check_aside(guest.instance_id, aside.action_id)
            own = self._files.aside(guest.instance_id, aside.action_id) / "disk"
            content = _read(aside.path if peer else str(own))
            if peer and hashlib.sha256(content).hexdigest() != aside.sha256:
                raise CopyDamaged(f"the disk of instance {guest.instance_id} came with another SHA-256")
            note = json.loads(content)
            wanted = guest.disk_gib * _GIB or note["size_bytes"]
            if wanted < note["size_bytes"]:
                raise DiskTooSmall(f"the flavor's disk has {guest.disk_gib} GiB: a disk does not shrink")
            note |= {"size_bytes": wanted, "backing": base.path if base else note["backing"]}
            side_files.write(self._files.disk(guest.instance_id), note, durable=False)
            write_config_drive(guest, self._files.config_drive(guest.instance_id))
            self._files.sign(guest.instance_id, dataclasses.replace(mine, is_complete=True))

    def discard(self, instance_id: str, action_id: str) -> None:
        """See `hypervisor.driver.Moves.discard`."""
        with self._faults.around("moves.discard"):
            self._files.discard_aside(instance_id, action_id)


def _virtual_bytes(base: Path) -> int:
    """Of a note what it says; of real bytes, which are raw in tests, their length."""
    note = side_files.read(base)
    return int(note["virtual_size"]) if note else base.stat().st_size


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise PeerUnreachable(f"the peer's file cannot be read: {error}") from error


def _pieces(path: str) -> Callable[[], Iterator[bytes]]:
    return lambda: iter((_read(path),))
