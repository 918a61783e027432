"""Where an instance's files are, and who made them. The same on every host and for every driver.

`<instances dir>/<instance id>/{disk,disk.config,console.log,made.json}`, for a rescue `{disk.rescue,disk.rescue.config,
rescue.json}` besides, and while a disk is made anew the old one (`kept_disks.py`); `<instances dir>/storage-id` tells
hosts that share this directory from those that do not. Directories can be traversed by the hypervisor's user and not
listed.
`<instances dir>/<instance id>.<action id>/` is what that action set aside when it moved the instance on: the former
directory as it was, until the move is confirmed or taken back.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import secrets
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hypervisor import side_files
from hypervisor.driver import BaseImage
from hypervisor.errors import DiskMissing, DiskTooSmall
from hypervisor.spec import GuestSpec, Maker

_TRAVERSABLE = 0o711
_GIB = 1024**3
_UUID_TEXT = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_UUID = re.compile(_UUID_TEXT)
_ASIDE = re.compile(rf"{_UUID_TEXT}\.{_UUID_TEXT}")


def make_directory(path: Path) -> None:
    """After it `path` is a directory. One made here lets the hypervisor's user pass, whatever the umask says."""
    try:
        os.mkdir(path)
        os.chmod(path, _TRAVERSABLE)
    except FileExistsError:
        pass
    except FileNotFoundError:
        make_directory(path.parent)
        make_directory(path)


def disk_bytes(guest: GuestSpec, base: BaseImage) -> int:
    """The size of the guest's disk: the flavor's, or the image's when that is 0. Errors: DiskTooSmall."""
    wanted = guest.disk_gib * _GIB or base.virtual_size_bytes
    if wanted < base.virtual_size_bytes:
        raise DiskTooSmall(
            f"the flavor's disk has {guest.disk_gib} GiB, image {guest.image.id} needs {base.virtual_size_bytes} bytes",
            disk_bytes=wanted,
            image_bytes=base.virtual_size_bytes,
        )
    return wanted


@dataclass(frozen=True, kw_only=True)
class Made:
    """What `made.json` says: the maker, the base image that the disk stands on, and whether all files are there."""

    maker: Maker
    base: str
    is_complete: bool


@dataclass(frozen=True)
class InstanceFiles:
    """The instances' directory of one host. `is_durable`: made.json survives a power loss, not only a killed worker."""

    root: Path
    is_durable: bool = True

    def directory(self, instance_id: str) -> Path:
        """The instance's directory. Refuses an id that is not a UUID: it would lead elsewhere."""
        if not _UUID.fullmatch(instance_id):
            raise ValueError(f"instance id {instance_id!r} is not a UUID in its usual form")
        return self.root / instance_id

    def disk(self, instance_id: str) -> Path:
        """The system disk."""
        return self.directory(instance_id) / "disk"

    def config_drive(self, instance_id: str) -> Path:
        """The config drive, an ISO 9660 image."""
        return self.directory(instance_id) / "disk.config"

    def rescue_disk(self, instance_id: str) -> Path:
        """The disk that a rescued guest boots from."""
        return self.directory(instance_id) / "disk.rescue"

    def rescue_config_drive(self, instance_id: str) -> Path:
        """The config drive of a rescued guest; the instance's own stays as it is beside it."""
        return self.directory(instance_id) / "disk.rescue.config"

    def console_log(self, instance_id: str) -> Path:
        """What the guest wrote to its serial console."""
        return self.directory(instance_id) / "console.log"

    def made(self, instance_id: str, what: str = "made") -> Made | None:
        """Who made the directory's files (`what` "rescue": those of the rescue); None when there is none or nobody
        signed."""
        return _read_made(self.side_file(instance_id, what))

    def sign(self, instance_id: str, made: Made, what: str = "made") -> None:
        """After it the directory exists and carries `made`. Sign before making anything, so that an undo finds it."""
        make_directory(self.directory(instance_id))
        data = {
            "action": made.maker.action_id,
            "digest": made.maker.digest,
            "base": made.base,
            "complete": made.is_complete,
        }
        side_files.write(self.side_file(instance_id, what), data, durable=self.is_durable)

    def remove(self, instance_id: str, maker: Maker | None) -> None:
        """After it the directory is gone, and without a `maker` whatever was set aside too. With one, only the
        directory, and only if that action signed it (or nobody and it is empty)."""
        directory = self.directory(instance_id)
        if maker is not None:
            made = self.made(instance_id)
            if made is None:
                with contextlib.suppress(OSError):
                    directory.rmdir()
                return
            if made.maker.action_id != maker.action_id:
                return
        self._destroy(directory)
        if maker is None:
            for aside in [*self.root.glob(f"{instance_id}.*"), *self.root.glob(f".removing-{instance_id}.*")]:
                name = aside.name.removeprefix(".removing-")
                if _ASIDE.fullmatch(name):
                    self._destroy(self.root / name)

    # --- what a move sets aside ---

    def aside(self, instance_id: str, action_id: str) -> Path:
        """Where that action keeps the instance's former directory."""
        path = self.root / f"{self.directory(instance_id).name}.{action_id}"
        if not _ASIDE.fullmatch(path.name):
            raise ValueError(f"action id {action_id!r} is not a UUID in its usual form")
        return path

    def set_aside(self, instance_id: str, action_id: str) -> Path:
        """After it the instance's directory is the action's aside, as it was. May run twice.

        Errors: FileNotFoundError, when there is neither."""
        aside = self.aside(instance_id, action_id)
        if not aside.exists():
            os.rename(self.directory(instance_id), aside)
            self._sync()
        return aside

    def put_back(self, instance_id: str, action_id: str) -> bool:
        """After it what that action set aside is the instance's directory again; False when it has nothing aside."""
        aside = self.aside(instance_id, action_id)
        if not aside.exists():
            return False
        os.rename(aside, self.directory(instance_id))
        self._sync()
        return True

    def discard_aside(self, instance_id: str, action_id: str) -> None:
        """After it what that action set aside is gone."""
        self._destroy(self.aside(instance_id, action_id))

    def _sync(self) -> None:
        if self.is_durable:
            side_files.sync_directory(self.root)

    def _destroy(self, directory: Path) -> None:
        """After it the directory is gone. Renamed first, so that a half removed one never looks like an instance's."""
        doomed = self.root / f".removing-{directory.name}"
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(doomed)  # what an interrupted removal left
        with contextlib.suppress(FileNotFoundError):
            os.rename(directory, doomed)
            shutil.rmtree(doomed)

    def remove_rescue(self, instance_id: str, maker: Maker | None) -> None:
        """After it the rescue's files are gone; with a `maker`, only if that action signed them."""
        made = self.made(instance_id, "rescue")
        if maker is not None and (made is None or made.maker.action_id != maker.action_id):
            return
        # The disk goes first and the signature last: what an interruption leaves is still signed.
        self.rescue_disk(instance_id).unlink(missing_ok=True)
        self.rescue_config_drive(instance_id).unlink(missing_ok=True)
        self.side_file(instance_id, "rescue").unlink(missing_ok=True)

    def check_there(self, instance_id: str) -> None:
        """DiskMissing unless the instance's disk is here, as a host that shares this directory left it."""
        if not self.disk(instance_id).exists():
            raise DiskMissing(f"instance {instance_id} has no disk under {self.root}, which was said to be shared")

    def bases_in_use(self) -> set[str]:
        """Paths of the base images under the disks here, those set aside too, so that pruning spares them."""
        sides = (side for directory in self._directories() for side in _side_files(directory))
        return {base for side in sides if (base := str((side_files.read(side) or {}).get("base", "")))}

    def storage_id(self) -> str:
        """This storage's id, written by the first host that asks. Equal ids on two hosts mean one shared storage."""
        path = self.root / "storage-id"
        with contextlib.suppress(FileNotFoundError):
            return path.read_text(encoding="ascii").strip()
        make_directory(self.root)
        draft = self.root / f".storage-id-{secrets.token_hex(8)}"
        draft.write_text(f"{uuid.uuid4()}\n", encoding="ascii")
        try:
            # A link fails when the name is taken, also over NFS, and readers never see an empty file.
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink()
        return path.read_text(encoding="ascii").strip()

    def side_file(self, instance_id: str, what: str = "made") -> Path:
        """The side file that says who made the disk, or the rescue's."""
        return self.directory(instance_id) / f"{what}.json"

    def _directories(self) -> Iterator[Path]:
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self.root):
                if _UUID.fullmatch(entry.name) or _ASIDE.fullmatch(entry.name):
                    yield self.root / entry.name


def _side_files(directory: Path) -> Iterator[Path]:
    """All that name a base image: of the disk, of the rescue's, of disks that are kept aside."""
    return itertools.chain(directory.glob("*.json"), directory.glob("*/*.json"))


def _read_made(path: Path) -> Made | None:
    data = side_files.read(path)
    if data is None:
        return None
    maker = Maker(action_id=str(data.get("action", "")), digest=str(data.get("digest", "")))
    return Made(maker=maker, base=str(data.get("base", "")), is_complete=bool(data.get("complete")))
