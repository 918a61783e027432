"""Facet `RescueDisks`: a qcow2 overlay on the rescue image, and the rescued guest's own config drive."""

from __future__ import annotations

import logging

from hypervisor import config_drive
from hypervisor.driver import BaseImage, Progress
from hypervisor.instance_files import InstanceFiles, Made
from hypervisor.libvirt.disks import make_overlay, room_for
from hypervisor.spec import GuestSpec, Maker

log = logging.getLogger(__name__)

RESCUE = "rescue"


class QcowRescueDisks:
    """See `hypervisor.driver.RescueDisks`."""

    def __init__(self, files: InstanceFiles) -> None:
        self._files = files

    def create(self, guest: GuestSpec, base: BaseImage, maker: Maker, progress: Progress) -> None:
        """See `hypervisor.driver.RescueDisks.create`."""
        made = self._files.made(guest.instance_id, RESCUE)
        disk = self._files.rescue_disk(guest.instance_id)
        if made and made.is_complete and made.maker == maker and disk.exists():
            return
        with room_for(guest.instance_id):
            self._files.sign(guest.instance_id, Made(maker=maker, base=base.path, is_complete=False), RESCUE)
            make_overlay(disk, base, base.virtual_size_bytes, progress)
            drive = self._files.rescue_config_drive(guest.instance_id)
            if guest.config_drive is not None:
                config_drive.write(guest.config_drive, drive)
            else:
                drive.unlink(missing_ok=True)
            self._files.sign(guest.instance_id, Made(maker=maker, base=base.path, is_complete=True), RESCUE)
        log.info("rescue disk of instance %s made", guest.instance_id)

    def delete(self, instance_id: str, maker: Maker | None) -> None:
        """See `hypervisor.driver.RescueDisks.delete`."""
        self._files.remove_rescue(instance_id, maker)

    def are_there(self, instance_id: str) -> bool:
        """See `hypervisor.driver.RescueDisks.are_there`."""
        return self._files.rescue_disk(instance_id).exists()
