"""What a host may remove of instances that are not its own any more, when it says hello (rule R6)."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from cloud.workflow.models import Action
from cloud.workflow.states import LIVE
from instances.models import Instance
from scheduling.selectors import storage_ids_of


def disks_to_keep(host: str, instance_ids: Iterable[str]) -> set[str]:
    """Those of `instance_ids` whose directory must stay on `host`, which is to let their guests go.

    A directory is removed only when it is certain that nobody needs it: the instance is deleted, or it is on another
    host, on storage that is known to be another, with no action under way that might yet bring it back here.
    """
    asked = {str(instance_id) for instance_id in instance_ids}
    rows = dict(Instance.objects.filter(pk__in=asked).values_list("pk", "host"))
    deleted = set(Instance.objects.filter(pk__in=asked, deleted_at__isnull=False).values_list("pk", flat=True))
    busy = set(Action.objects.filter(target_id__in=asked, state__in=LIVE).values_list("target_id", flat=True))
    storage = storage_ids_of({host, *rows.values()})

    def is_left(key: UUID) -> bool:
        if key in busy or key not in rows:
            return False
        if key in deleted:
            return True
        there = rows[key]
        ids = storage.get(host, ""), storage.get(there, "")
        return there not in ("", host) and all(ids) and ids[0] != ids[1]

    return {text for text in asked if not is_left(UUID(text))}


def disks_of_others(host: str, instance_ids: Iterable[str]) -> set[str]:
    """Those of `instance_ids` whose directory on `host` is, or may be, that of another host: the instance is there now,
    on storage that both share, or nobody knows whether they do. What `host` owes must not touch it.
    """
    asked = {str(instance_id) for instance_id in instance_ids}
    alive = Instance.objects.filter(pk__in=asked, deleted_at=None).exclude(host__in=["", host])
    rows = dict(alive.values_list("pk", "host"))
    storage = storage_ids_of({host, *rows.values()})

    def is_shared(there: str) -> bool:
        ids = storage.get(host, ""), storage.get(there, "")
        return not all(ids) or ids[0] == ids[1]

    return {str(key) for key, there in rows.items() if is_shared(there)}
