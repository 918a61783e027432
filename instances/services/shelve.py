"""`shelve`, `shelveOffload` and `unshelve`."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from cloud.api.policy import Caller, require_admin
from cloud.errors import Conflict
from cloud.images.models import Image, ImageStatus
from cloud.workflow.models import Action
from cloud.workflow.states import LIVE
from instances.models import Instance
from instances.services.boot_placement import UnknownZone, resolve_destination
from instances.services.snapshot import queue_image_of
from instances.services.verb import WrongState, check_verb, start_verb
from instances.states import TaskState, VmState
from scheduling.selectors import zones_of

_SUFFIX = "-shelved"
_MAX_NAME = 255


class ShelvedImageGone(Conflict):
    """The image that the instance was shelved as was deleted: nothing is left of its disk."""

    code = "instance.shelved_image_gone"


class HostNotInZone(Conflict):
    """The host that an unshelve names is in another zone than the one that the instance is bound to."""

    code = "instance.host_not_in_zone"


@dataclass(frozen=True, kw_only=True)
class UnshelvePlace:
    """Where an unshelve is to go. `changes_zone`: `zone` is the instance's from then on, None: any; otherwise it keeps
    the one that it asked for. `host` "": the scheduler chooses."""

    changes_zone: bool = False
    zone: str | None = None
    host: str = ""


def shelve_instance(*, caller: Caller, instance: Instance) -> Action:
    """Stops the guest and makes an image of its disk. Errors: see `start_verb`."""
    check_verb(caller=caller, instance=instance, verb="shelve")
    with transaction.atomic():
        name = instance.display_name[: _MAX_NAME - len(_SUFFIX)] + _SUFFIX
        image = queue_image_of(caller, instance, name, {"image_type": "snapshot"}, {})
        return start_verb(caller=caller, instance=instance, verb="shelve", parameters={"image_id": str(image.pk)})


def shelve_offload_instance(*, caller: Caller, instance: Instance) -> Action:
    """Takes a shelved instance off its host, now; gives the action that does so already, when settings had it begun.

    Errors: see `start_verb`.
    """
    if caller.is_admin and instance.task_state == TaskState.SHELVING_OFFLOADING:
        leaving = Action.objects.filter(target_id=instance.pk, operation="shelve_offload", state__in=LIVE).first()
        if leaving is not None:
            return leaving
    return start_verb(caller=caller, instance=instance, verb="shelveOffload", operation="shelve_offload")


def unshelve_instance(*, caller: Caller, instance: Instance, place: UnshelvePlace | None = None) -> Action:
    """Runs a shelved instance again: where its disk is, or where there is room for it.

    Raises what `start_verb` raises; Forbidden for a host named by somebody who is no admin; UnknownZone, UnknownHost
    (400); WrongState (409) for a place while the instance still has one; HostNotInZone, ShelvedImageGone (409).
    """
    check_verb(caller=caller, instance=instance, verb="unshelve")
    if place is not None and place.host:
        require_admin(caller, "unshelving a server to a named host")
    if instance.vm_state == VmState.SHELVED:
        if place is not None:
            raise WrongState(
                f"Cannot 'unshelve' instance {instance.pk} to another place while it is in vm_state "
                f"{instance.vm_state}: only one that is {VmState.SHELVED_OFFLOADED.value} can go elsewhere.",
                instance=str(instance.pk),
            )
        return start_verb(caller=caller, instance=instance, verb="unshelve", operation="unshelve_in_place")
    destination = _destination(caller, instance, place or UnshelvePlace())
    image = Image.objects.filter(pk=instance.shelved_image_id, status=ImageStatus.ACTIVE)
    if not instance.shelved_image_id or not image.exists():
        raise ShelvedImageGone(
            f"Cannot 'unshelve' instance {instance.pk}: image {instance.shelved_image_id or 'none'}, which it was "
            "shelved as, is not there any more.",
            instance=str(instance.pk),
        )
    return start_verb(caller=caller, instance=instance, verb="unshelve", parameters={"destination": destination})


def _destination(caller: Caller, instance: Instance, place: UnshelvePlace) -> dict[str, str | None]:
    zone = place.zone if place.changes_zone else instance.requested_zone
    named = zone if place.changes_zone else None
    if named and ":" in named:
        raise UnknownZone(
            f"The requested availability zone {named[:80]!r} is not available: it is a zone's name alone, the host is "
            "named beside it.",
            field="availability_zone",
            value=named[:80],
        )
    resolve_destination(caller, zone=named, host=place.host or None, hypervisor_hostname=None)
    if place.host and zone and zones_of([place.host]).get(place.host) != zone:
        raise HostNotInZone(
            f"Host {place.host[:80]} is not in the availability zone {zone}.", instance=str(instance.pk)
        )
    return {"zone": zone, "host": place.host}
