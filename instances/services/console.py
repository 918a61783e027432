"""What a guest wrote to its serial console, asked of its host."""

from __future__ import annotations

from cloud.api.policy import Caller, require_member
from cloud.errors import Conflict
from cloud.workflow.queries import ask
from instances.models import Instance

TIMEOUT = 10.0  # seconds


class InstanceNotReady(Conflict):
    """The instance is on no host."""

    code = "instance.not_ready"


def console_output(*, caller: Caller, instance: Instance, lines: int | None) -> str:
    """The last `lines` of the console, all that is kept for None. InstanceNotReady (409) for one on no host."""
    require_member(caller, "reading the console of a server")
    if not instance.host:
        raise InstanceNotReady(f"Instance {instance.pk} is not ready: it is on no host.", instance=str(instance.pk))
    return str(ask(instance.host, "console_output", {"instance_id": str(instance.pk), "length": lines}, TIMEOUT) or "")
