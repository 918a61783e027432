"""`rescue` and `unrescue`."""

from __future__ import annotations

from cloud.api.policy import Caller
from cloud.workflow.models import Action
from instances.models import Instance
from instances.secrets import PASSWORD, seal
from instances.services.remake_checks import check_has_host, image_for_instance
from instances.services.verb import check_verb, start_verb


def rescue_instance(*, caller: Caller, instance: Instance, password: str, image_id: str | None = None) -> Action:
    """Boots the instance from a disk of the image (None: the one that it was made from), its own disk beside it. The
    rescued guest alone is told the password, by its config drive.

    Errors: see `start_verb`; NotLaunched (409); BadRequest naming an image that cannot be had.
    """
    check_verb(caller=caller, instance=instance, verb="rescue")
    check_has_host(instance, "rescue")
    image = image_for_instance(caller, instance, image_id or instance.image_id, has_own_disk=False)
    parameters = {"image": str(image.pk), PASSWORD: seal(password)}
    return start_verb(caller=caller, instance=instance, verb="rescue", parameters=parameters)


def unrescue_instance(*, caller: Caller, instance: Instance) -> Action:
    """Boots the instance from its own disk again. Errors: see `start_verb`."""
    return start_verb(caller=caller, instance=instance, verb="unrescue")
