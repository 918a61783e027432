"""`changePassword`: refused up front for a guest that has no agent."""

from __future__ import annotations

from cloud.api.policy import Caller
from cloud.api.schemas import boolean
from cloud.errors import Conflict
from cloud.workflow.models import Action, Host
from cloud.workflow.tokens import host_key
from hypervisor.sealed import seal
from instances.models import Instance
from instances.services.verb import check_verb, start_verb

AGENT_PROPERTY = "hw_qemu_guest_agent"
USER_PROPERTY = "os_admin_user"


class NoGuestAgent(Conflict):
    """The instance's image does not say that it has a guest agent."""

    code = "instance.no_guest_agent"


def change_password(*, caller: Caller, instance: Instance, password: str) -> Action:
    """Has the guest's agent set the password of the image's `os_admin_user` (default root).

    NoGuestAgent (409) unless the image says `hw_qemu_guest_agent=yes`; other errors: see `start_verb`.
    """
    check_verb(caller=caller, instance=instance, verb="changePassword")
    if not boolean(instance.image_properties.get(AGENT_PROPERTY, "no")):
        raise NoGuestAgent(
            f"Failed to set the password of instance {instance.pk}: its image has no guest agent. An image that has "
            f"one says so with the property {AGENT_PROPERTY}=yes.",
            instance=str(instance.pk),
        )
    host = Host.objects.get(name=instance.host)
    return start_verb(
        caller=caller,
        instance=instance,
        verb="changePassword",
        operation="change_password",
        parameters={
            "user": str(instance.image_properties.get(USER_PROPERTY) or "root"),
            "password": seal(host_key(host), password),
        },
    )
