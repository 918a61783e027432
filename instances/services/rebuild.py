"""`rebuild`: check the image and what is to change of the instance, then start it."""

from __future__ import annotations

from typing import Any

from cloud.api.policy import Caller
from cloud.workflow.models import Action
from instances import quotas
from instances.models import Instance
from instances.secrets import PASSWORD, seal
from instances.services.boot_checks import check_user_data, keypair_for_boot
from instances.services.remake_checks import check_has_host, image_for_instance
from instances.services.verb import check_verb, start_verb


def rebuild_instance(
    *, caller: Caller, instance: Instance, image_id: str, password: str, changes: dict[str, Any] | None = None
) -> Action:
    """Puts the instance on a new disk of the image. `changes`: columns of the row that the request gives otherwise
    (`key_name`: of the caller's key pairs, None for none); the action's parameter `changes` has all that will change.

    Errors: see `start_verb`; NotLaunched (409); BadRequest naming the image, key or user data that cannot be had.
    """
    check_verb(caller=caller, instance=instance, verb="rebuild")
    check_has_host(instance, "rebuild")
    wanted = dict(changes or {})
    image = image_for_instance(caller, instance, image_id, has_own_disk=True)
    if "key_name" in wanted:
        keypair = keypair_for_boot(caller, wanted["key_name"])
        wanted["key_data"] = keypair.public_key if keypair else ""
    check_user_data(wanted.get("user_data", ""))
    if "metadata" in wanted:
        quotas.check_metadata(instance.project_id, wanted["metadata"])
    wanted |= {"image_id": str(image.pk), "image_name": image.name or "", "image_properties": dict(image.properties)}
    parameters = {"changes": wanted, PASSWORD: seal(password)}
    return start_verb(caller=caller, instance=instance, verb="rebuild", parameters=parameters)
