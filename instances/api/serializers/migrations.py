"""A migration as the wire shows it: in the list of all of them, and as the one that a server is in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloud.api.microversions import Microversion
from instances.api.links import links, micros
from instances.migration_progress import progress_of
from instances.models import Migration, MigrationType
from instances.ownership import UNFINISHED
from scheduling.selectors import hypervisor_hostnames

_COUNTERS = tuple(
    f"{what}_{which}_bytes" for what in ("memory", "disk") for which in ("total", "processed", "remaining")
)


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


def live_migration(row: Migration, version: Microversion) -> dict[str, Any]:
    """A live migration that is on its way, with what its host counts of it: 0 before anything was heard."""
    names = hypervisor_hostnames([row.source_host, row.destination_host])
    details = (progress_of([row.action_id]).get(row.action_id) or {}).get("details") or {}
    shown: dict[str, Any] = {
        "id": row.pk,
        "server_uuid": str(row.instance_id),
        "status": row.status,
        "source_compute": row.source_host,
        "source_node": names.get(row.source_host, row.source_host),
        "dest_compute": row.destination_host or None,
        "dest_node": names.get(row.destination_host, row.destination_host) or None,
        "dest_host": None,
        "created_at": micros(row.created_at),
        "updated_at": micros(row.updated_at),
        **{name: int(details.get(name, 0)) for name in _COUNTERS},
    }
    if version.minor >= 59:
        shown["uuid"] = str(row.uuid)
    if version.minor >= 80:
        shown |= {"user_id": row.user_id, "project_id": row.project_id}
    return shown


def is_in_progress(row: Migration) -> bool:
    """A live migration under way: the only kind that a server's own migrations show."""
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
