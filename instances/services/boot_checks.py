"""What a boot names, found and checked; every error is a 400 with the field and the value. Nothing is changed."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from cloud.api.policy import Caller
from cloud.errors import BadRequest
from cloud.images.models import Image
from cloud.images.selectors import image_for_boot
from instances.models import Flavor, KeyPair
from instances.selectors import flavors_for

GIB, MIB = 1024**3, 1024**2
MAX_USER_DATA = 65_535  # characters of base64


class UnknownFlavor(BadRequest):
    """The boot names a flavor that does not exist or that the project may not use."""

    code = "flavor.unknown"


class UnknownKeyPair(BadRequest):
    """The boot names a key pair that the user does not have."""

    code = "keypair.unknown"


class ImageTooLarge(BadRequest):
    """The image needs more disk or memory than the flavor has."""

    code = "flavor.too_small_for_image"


class InvalidUserData(BadRequest):
    """User data is too long or not base64."""

    code = "instance.invalid_user_data"


def flavor_for_boot(caller: Caller, flavorid: str) -> Flavor:
    """The flavor, usable by the caller and not disabled."""
    flavor = flavors_for(caller).filter(flavorid=flavorid).first()
    if flavor is None:
        raise UnknownFlavor(f"Flavor {flavorid[:80]} could not be found.", field="flavorRef", value=flavorid[:80])
    if flavor.is_disabled:
        raise UnknownFlavor(f"Flavor {flavorid[:80]} is disabled.", field="flavorRef", value=flavorid[:80])
    return flavor


def image_that_fits(caller: Caller, image_id: str, flavor: Flavor) -> Image:
    """The image, active and small enough for the flavor's disk and memory; a flavor without disk takes any size."""
    image = image_for_boot(caller, image_id)
    if flavor.memory_mib < image.min_ram:
        raise ImageTooLarge(
            f"Flavor's memory is too small for requested image: flavor {flavor.name} has {flavor.memory_mib} MiB, "
            f"image {image.pk} needs {image.min_ram} MiB."
        )
    if flavor.disk_gib == 0:
        return image
    if flavor.disk_gib < image.min_disk:
        raise ImageTooLarge(
            "Flavor's disk is smaller than the minimum size specified in image metadata. Flavor disk is "
            f"{flavor.disk_gib * GIB} bytes, minimum size is {image.min_disk * GIB} bytes."
        )
    size = max(image.virtual_size, 0) or image.size
    if size > flavor.disk_gib * GIB:
        raise ImageTooLarge(
            "Flavor's disk is too small for requested image. Flavor disk is "
            f"{flavor.disk_gib * GIB} bytes, image is {size} bytes."
        )
    return image


def keypair_for_boot(caller: Caller, name: str | None) -> KeyPair | None:
    """The caller's key pair of that name; None for no name."""
    if name is None:
        return None
    keypair = KeyPair.objects.filter(user_id=caller.user_id, name=name).first()
    if keypair is None:
        raise UnknownKeyPair(f"Invalid key_name provided: {name[:80]!r}.", field="key_name", value=name[:80])
    return keypair


def check_user_data(user_data: str) -> None:
    """InvalidUserData for more than 65,535 characters and for what is not base64; line breaks are allowed."""
    if len(user_data) > MAX_USER_DATA:
        raise InvalidUserData(
            f"Invalid input for field/attribute user_data. It has {len(user_data)} characters; at most "
            f"{MAX_USER_DATA} are taken.",
            field="user_data",
        )
    try:
        base64.b64decode("".join(user_data.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        shown = user_data if len(user_data) <= 40 else user_data[:40] + "…"
        raise InvalidUserData(
            f"Invalid input for field/attribute user_data. Value: {shown!r}. It is not base64: {error}.",
            field="user_data",
        ) from None


def check_hints(hints: dict[str, Any]) -> None:
    """BadRequest for a hint that cannot be followed."""
    group = hints.get("group")
    if group is not None:
        raise BadRequest(f"Instance group {str(group)[:80]} could not be found.", field="os:scheduler_hints/group")
