"""`createBackup`: a snapshot that pushes out the oldest one of its type."""

from __future__ import annotations

from hypervisor.steps import discard_snapshot, take_snapshot, upload_snapshot
from instances.operations.image_making import MakesImage
from instances.steps.images import expect_image, publish_image, rotate_backups


class Backup(MakesImage):
    """The image is active, and no more backups of its type are left than the rotation says; on failure all is as it
    was."""

    name = "backup"
    action = "createBackup"
    steps = (expect_image, take_snapshot, upload_snapshot, discard_snapshot, publish_image, rotate_backups)
