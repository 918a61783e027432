"""Which guests are a host's own: asked when it says hello, so that no guest runs where its instance is not any more."""

from __future__ import annotations

from collections.abc import Sequence

from cloud.workflow.models import Host
from instances.models import Instance
from instances.unfinished_moves import instances_that_may_be_on


def owned_guests(host: Host, guests: Sequence[str]) -> set[str]:
    """Those of `guests` that belong on `host`: their instance is there, or a move that is not over keeps a place there;
    or it is not known, and then the guest is nobody's to remove. What was evacuated is lost to the host that it left.
    """
    known = {str(pk) for pk in Instance.objects.filter(pk__in=guests).values_list("pk", flat=True)}
    own = {str(pk) for pk in instances_that_may_be_on(host.name)}
    return (set(guests) & own) | (set(guests) - known)
