"""Changes of an instance's own fields: its names, addresses, metadata and tags. No action, no host; one transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.utils import timezone

from cloud.api.policy import Caller, require_member
from cloud.errors import BadRequest, NotFound
from instances import quotas
from instances.models import Instance
from instances.selectors import no_such_instance
from instances.services.lock import check_lock

MAX_TAGS = 50


class MetadataKeyNotFound(NotFound):
    """The instance has no metadata item of that key."""

    code = "instance.metadata_key_not_found"


class TagNotFound(NotFound):
    """The instance has no such tag."""

    code = "instance.tag_not_found"


def update_instance(*, caller: Caller, instance: Instance, **changes: Any) -> Instance:
    """Changes display_name, description, hostname, access addresses or disk_config; gives the row as it is then."""
    return _change(caller, instance, lambda row: changes)


# --- metadata ---------------------------------------------------------------------------------------------------------


def update_metadata(*, caller: Caller, instance: Instance, items: dict[str, str]) -> dict[str, str]:
    """Adds the items to the metadata, replacing those of the same key. QuotaExceeded for too many."""
    return _set_metadata(caller, instance, lambda old: {**old, **items})


def replace_metadata(*, caller: Caller, instance: Instance, items: dict[str, str]) -> dict[str, str]:
    """The items are all the metadata there is. QuotaExceeded for too many."""
    return _set_metadata(caller, instance, lambda old: items)


def delete_metadata_key(*, caller: Caller, instance: Instance, key: str) -> None:
    """Takes one item out of the metadata. MetadataKeyNotFound when there is none."""

    def without(old: dict[str, str]) -> dict[str, str]:
        if key not in old:
            raise MetadataKeyNotFound(f"Metadata item {key[:80]!r} was not found", key=key[:80])
        return {name: value for name, value in old.items() if name != key}

    _set_metadata(caller, instance, without)


def _set_metadata(
    caller: Caller, instance: Instance, make: Callable[[dict[str, str]], dict[str, str]]
) -> dict[str, str]:
    def changes(row: Instance) -> dict[str, Any]:
        made = make(row.metadata)
        if len(made) > len(row.metadata):
            quotas.check_metadata(row.project_id, made)
        return {"metadata": made}

    return dict(_change(caller, instance, changes).metadata)


# --- tags -------------------------------------------------------------------------------------------------------------


def replace_tags(*, caller: Caller, instance: Instance, tags: list[str]) -> list[str]:
    """The tags are all that there are, each once. BadRequest for more than 50."""
    return list(_change(caller, instance, lambda row: {"tags": _checked(tags)}).tags)


def add_tag(*, caller: Caller, instance: Instance, tag: str) -> bool:
    """Adds a tag; says whether it was not there."""
    is_new = False

    def changes(row: Instance) -> dict[str, Any]:
        nonlocal is_new
        is_new = tag not in row.tags
        return {"tags": _checked([*row.tags, tag])} if is_new else {}

    _change(caller, instance, changes)
    return is_new


def remove_tag(*, caller: Caller, instance: Instance, tag: str) -> None:
    """Takes a tag off. TagNotFound when it is not there."""

    def changes(row: Instance) -> dict[str, Any]:
        if tag not in row.tags:
            raise TagNotFound(f"Instance {row.pk} has no tag '{tag[:80]}'", tag=tag[:80])
        return {"tags": [other for other in row.tags if other != tag]}

    _change(caller, instance, changes)


def _checked(tags: list[str]) -> list[str]:
    each = sorted(set(tags))
    if len(each) > MAX_TAGS:
        raise BadRequest(f"The number of tags exceeded the per-server limit {MAX_TAGS}: {len(each)}.", field="tags")
    return each


# --- the one write ----------------------------------------------------------------------------------------------------


def _change(caller: Caller, instance: Instance, changes: Callable[[Instance], dict[str, Any]]) -> Instance:
    """Reads the row for update, and writes what `changes` makes of it and nothing else."""
    require_member(caller, "changing servers")
    with transaction.atomic():
        row = Instance.objects.select_for_update().filter(pk=instance.pk, deleted_at=None).first()
        if row is None:
            raise no_such_instance(instance.pk)
        check_lock(caller, row)
        made = changes(row)
        if made:
            for name, value in {**made, "updated_at": timezone.now()}.items():
                setattr(row, name, value)
            row.save(update_fields=[*made, "updated_at"])
    return row
