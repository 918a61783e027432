"""Migrations on the wire."""

from __future__ import annotations

from typing import Any

from cloud.api.microversions import Microversion
from instances.api.links import micros
from instances.migration_progress import progress_of
from instances.models import Migration
from scheduling.selectors import hypervisor_hostnames

_COUNTERS = tuple(
    f"{what}_{which}_bytes" for what in ("memory", "disk") for which in ("total", "processed", "remaining")
)


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
