"""Facet `Disks` as notes: `disk` says its size and backing file, `disk.config` the config drive's files as JSON."""

from __future__ import annotations

import base64
from pathlib import Path

from hypervisor import side_files
from hypervisor.driver import BaseImage, Progress
from hypervisor.instance_files import InstanceFiles, Made, disk_bytes
from hypervisor.simulated.effects import Effects
from hypervisor.simulated.faults import Faults
from hypervisor.spec import GuestSpec, Maker


class SimulatedDisks:
    """See `hypervisor.driver.Disks`."""

    def __init__(self, files: InstanceFiles, faults: Faults, effects: Effects | None = None) -> None:
        self._files = files
        self._faults = faults
        self._effects = effects or Effects()

    def create(
        self, guest: GuestSpec, base: BaseImage, maker: Maker, progress: Progress, *, stands_alone: bool = False
    ) -> None:
        """See `hypervisor.driver.Disks.create`."""
        with self._faults.around("disks.create", progress):
            size = disk_bytes(guest, base)
            made = self._files.made(guest.instance_id)
            if made and made.is_complete and made.maker == maker and self._files.disk(guest.instance_id).exists():
                return
            stands_on = "" if stands_alone else base.path
            self._files.sign(guest.instance_id, Made(maker=maker, base=base.path, is_complete=False))
            disk = {"size_bytes": size, "backing": stands_on, "format": "qcow2", "backing_format": base.disk_format}
            if stands_alone:
                disk["copied_from"] = base.path
            side_files.write(self._files.disk(guest.instance_id), disk, durable=False)
            write_config_drive(guest, self._files.config_drive(guest.instance_id))
            self._files.sign(guest.instance_id, Made(maker=maker, base=stands_on, is_complete=True))
            self._effects.happened("disk made", guest.instance_id)

    def delete(self, instance_id: str, maker: Maker | None) -> None:
        """See `hypervisor.driver.Disks.delete`."""
        with self._faults.around("disks.delete"):
            self._files.remove(instance_id, maker)

    def take_over(self, instance_id: str) -> None:
        """See `hypervisor.driver.Disks.take_over`."""
        with self._faults.around("disks.take_over"):
            self._files.check_there(instance_id)


def write_config_drive(guest: GuestSpec, path: Path) -> None:
    """After it `path` holds the guest's config drive as JSON; none when the guest has none."""
    if guest.config_drive is None:
        path.unlink(missing_ok=True)
        return
    content: dict[str, object] = {
        "meta_data.json": guest.config_drive.meta_data,
        "network_data.json": guest.config_drive.network_data,
    }
    if guest.config_drive.user_data_b64 is not None:
        content["user_data"] = base64.b64decode(guest.config_drive.user_data_b64).decode(errors="replace")
    side_files.write(path, content, durable=False)
