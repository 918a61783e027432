"""Facets `KeptDisks` and `RescueDisks` as notes, with faults."""

from __future__ import annotations

from hypervisor import side_files
from hypervisor.driver import BaseImage, Progress
from hypervisor.instance_files import InstanceFiles, Made
from hypervisor.kept_disks import KeptDisks
from hypervisor.simulated.disks import write_config_drive
from hypervisor.simulated.faults import Faults
from hypervisor.spec import GuestSpec, Maker

_RESCUE = "rescue"


class SimulatedKeptDisks:
    """See `hypervisor.driver.KeptDisks`: notes are files too."""

    def __init__(self, files: InstanceFiles, faults: Faults) -> None:
        self._kept = KeptDisks(files)
        self._faults = faults

    def set_aside(self, instance_id: str, maker: Maker) -> None:
        """See `hypervisor.driver.KeptDisks.set_aside`."""
        with self._faults.around("kept_disks.set_aside"):
            self._kept.set_aside(instance_id, maker)

    def put_back(self, instance_id: str, maker: Maker) -> None:
        """See `hypervisor.driver.KeptDisks.put_back`."""
        with self._faults.around("kept_disks.put_back"):
            self._kept.put_back(instance_id, maker)

    def forget(self, instance_id: str, maker: Maker) -> None:
        """See `hypervisor.driver.KeptDisks.forget`."""
        with self._faults.around("kept_disks.forget"):
            self._kept.forget(instance_id, maker)

    def is_forgotten(self, instance_id: str, maker: Maker) -> bool:
        """See `hypervisor.driver.KeptDisks.is_forgotten`."""
        return self._kept.is_forgotten(instance_id, maker)


class SimulatedRescueDisks:
    """See `hypervisor.driver.RescueDisks`."""

    def __init__(self, files: InstanceFiles, faults: Faults) -> None:
        self._files = files
        self._faults = faults

    def create(self, guest: GuestSpec, base: BaseImage, maker: Maker, progress: Progress) -> None:
        """See `hypervisor.driver.RescueDisks.create`."""
        with self._faults.around("rescue_disks.create", progress):
            made = self._files.made(guest.instance_id, _RESCUE)
            disk = self._files.rescue_disk(guest.instance_id)
            if made and made.is_complete and made.maker == maker and disk.exists():
                return
            self._files.sign(guest.instance_id, Made(maker=maker, base=base.path, is_complete=False), _RESCUE)
            note = {"size_bytes": base.virtual_size_bytes, "backing": base.path, "format": "qcow2"}
            side_files.write(disk, {**note, "backing_format": base.disk_format}, durable=False)
            write_config_drive(guest, self._files.rescue_config_drive(guest.instance_id))
            self._files.sign(guest.instance_id, Made(maker=maker, base=base.path, is_complete=True), _RESCUE)

    def delete(self, instance_id: str, maker: Maker | None) -> None:
        """See `hypervisor.driver.RescueDisks.delete`."""
        with self._faults.around("rescue_disks.delete"):
            self._files.remove_rescue(instance_id, maker)

    def are_there(self, instance_id: str) -> bool:
        """See `hypervisor.driver.RescueDisks.are_there`."""
        return self._files.rescue_disk(instance_id).exists()
