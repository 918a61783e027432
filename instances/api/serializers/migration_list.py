"""A migration in the list of all of them, as each microversion shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloud.api.microversions import Microversion
from instances.api.links import links, micros
from instances.models import Migration, MigrationType
from instances.unfinished_moves import UNFINISHED


def migration(
    row: Migration, version: Microversion, flavors: Mapping[str, int], hypervisors: Mapping[str, str]
) -> dict[str, Any]:
    """One of `GET /os-migrations`. `flavors`: numbers of flavors by the id that users see; `hypervisors`: hypervisors'
    host names by host."""
    shown: dict[str, Any] = {
        "id": row.pk,
        **_sides(row, hypervisors),
        "status": row.status,
        "instance_uuid": str(row.instance_id),
        "old_instance_type_id": flavors.get(row.old_flavor_id),
        "new_instance_type_id": flavors.get(row.new_flavor_id),
        "created_at": micros(row.created_at),
        "updated_at": micros(row.updated_at),
    }
    if version.minor >= 23:
        shown["migration_type"] = row.type
        if is_in_progress(row):
            shown["links"] = links(f"servers/{row.instance_id}/migrations/{row.pk}")
    return shown | _newer(row, version)


def is_in_progress(row: Migration) -> bool:
    """A live migration under way: the only kind that has a resource of its own."""
    return row.type == MigrationType.LIVE and row.status in UNFINISHED


def _sides(row: Migration, hypervisors: Mapping[str, str]) -> dict[str, Any]:
    return {
        "source_compute": row.source_host or None,
        "source_node": hypervisors.get(row.source_host),
        "dest_compute": row.destination_host or None,
        "dest_node": hypervisors.get(row.destination_host),
        "dest_host": None,
    }


def _newer(row: Migration, version: Microversion) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if version.minor >= 59:
        shown["uuid"] = str(row.uuid)
    if version.minor >= 80:
        shown |= {"user_id": row.user_id or None, "project_id": row.project_id}
    return shown
