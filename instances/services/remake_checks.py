"""Checks of verbs that make a guest's disk anew; every error is a 4xx, and nothing is changed."""

from __future__ import annotations

from cloud.api.policy import Caller
from cloud.errors import Conflict
from cloud.images.models import Image
from instances.models import Flavor, Instance
from instances.services.boot_checks import image_that_fits


class NotLaunched(Conflict):
    """The instance never came to a host: there is no guest to do the verb on."""

    code = "instance.not_launched"


def check_has_host(instance: Instance, verb: str) -> None:
    """NotLaunched for an instance that is on no host: its boot failed, or it was taken off."""
    if not instance.host:
        raise NotLaunched(
            f"Cannot '{verb}' instance {instance.pk}: it is on no host, for its boot failed. Delete it and create "
            "another one.",
            instance=str(instance.pk),
        )


def image_for_instance(caller: Caller, instance: Instance, image_id: str, *, has_own_disk: bool) -> Image:
    """The image, visible to the caller, active, and small enough for the instance's flavor as it was copied; a disk of
    its own (`has_own_disk` False: the rescue's) is as large as the image is. Errors: those of a boot."""
    size = Flavor(
        flavorid=instance.flavor_id,
        name=instance.flavor_name,
        memory_mib=instance.memory_mib,
        disk_gib=instance.disk_gib if has_own_disk else 0,
    )
    return image_that_fits(caller, image_id, size)
