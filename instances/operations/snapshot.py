"""`createImage`: an image of the system disk as it is at one moment, while the guest goes on."""

from __future__ import annotations

from hypervisor.steps import discard_snapshot, take_snapshot, upload_snapshot
from instances.operations.image_making import MakesImage
from instances.steps.images import expect_image, publish_image


class Snapshot(MakesImage):
    """The image is active in the moment in which the instance is idle again; on failure it is deleted."""

    name = "snapshot"
    action = "createImage"
    steps = (expect_image, take_snapshot, upload_snapshot, discard_snapshot, publish_image)
