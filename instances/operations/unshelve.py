"""`unshelve`: a shelved instance runs again, where its disk is or, from its image, on a host that is chosen anew."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from cloud.workflow.operation import StepContext
from hypervisor.spec import encode
from hypervisor.steps import create_disk, fetch_image, plug_ports, replug_ports, run_guest, start_guest
from instances.guest_spec import guest_spec
from instances.operations.base import InstanceOperation
from instances.operations.power import PowerOperation
from instances.steps.images import drop_shelved_image
from instances.steps.networking import bind_kept_ports
from instances.steps.placement import claim_resources, select_host
from instances.steps.row import instance_of

_NOT_SHELVED: dict[str, Any] = {"shelved_image_id": "", "shelved_at": None}


class Unshelve(InstanceOperation):
    """From SHELVED_OFFLOADED: ACTIVE on the host that had room, its disk made from the shelved image, which is deleted.

    On failure the instance is offloaded as before, with its image. Its image is still the one that it was made from.
    The disk is a whole one: a base that only this host's cache has would be lost with the host.
    """

    name = "unshelve"
    action = "unshelve"
    max_attempts = 3
    steps = (
        select_host,
        claim_resources,
        bind_kept_ports,
        fetch_image,
        create_disk,
        plug_ports,
        start_guest,
        drop_shelved_image,
    )

    def inputs(self, context: StepContext) -> dict[str, Any]:
        """The guest, from the image that it was shelved as, which goes when it runs."""
        instance = instance_of(context)
        spec = guest_spec(instance, url_expires_at=context.action.deadline, image_id=instance.shelved_image_id)
        return {"guest": encode(spec), "stands_alone": True}

    def settle(self, context: StepContext, **changes: Any) -> None:
        """A zone that was asked for is the instance's from now on."""
        if changes.get("vm_state") == self.rule.becomes:
            zone = context.parameters["destination"]["zone"]
            changes |= {**_NOT_SHELVED, "launched_at": timezone.now(), "requested_zone": zone}
        super().settle(context, **changes)


class UnshelveInPlace(PowerOperation):
    """From SHELVED: ACTIVE on its host, on the disk that it has; its image is deleted. On failure it is shelved."""

    name = "unshelve_in_place"
    action = "unshelve"
    steps = (replug_ports, run_guest, drop_shelved_image)

    def settle(self, context: StepContext, **changes: Any) -> None:
        """The instance is shelved no more."""
        if changes.get("vm_state") == self.rule.becomes:
            changes |= _NOT_SHELVED
        super().settle(context, **changes)
