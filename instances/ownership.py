"""Which guests are a host's own: asked when it says hello, so that no guest runs where its instance is not any more."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Exists, OuterRef, Q

from cloud.workflow.models import Host
from instances.models import Instance
from instances.states import VmState
from scheduling.models import Allocation


def owned_guests(host: Host, guests: Sequence[str]) -> set[str]:
    """Those of `guests` that belong on `host`: their instance is there, or keeps a place there until its resize is
    confirmed or reverted; or it is not known, and then the guest is nobody's to remove."""
    keeps_place = Exists(Allocation.objects.filter(consumer=OuterRef("pk"), host=host.name))
    known = {str(pk) for pk in Instance.objects.filter(pk__in=guests).values_list("pk", flat=True)}
    here = Instance.objects.filter(pk__in=guests, deleted_at=None).filter(
        Q(host=host.name) | (Q(vm_state=VmState.RESIZED) & keeps_place)
    )
    return {str(pk) for pk in here.values_list("pk", flat=True)} | (set(guests) - known)
