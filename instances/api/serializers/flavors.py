"""A flavor as each microversion shows it."""

from __future__ import annotations

from typing import Any

from cloud.api.microversions import Microversion
from instances.api.links import links
from instances.models import Flavor


def basic(row: Flavor, version: Microversion) -> dict[str, Any]:
    """The short form of the list that is not in detail."""
    shown: dict[str, Any] = {"id": row.flavorid, "name": row.name, "links": links(f"flavors/{row.flavorid}")}
    if version.minor >= 55:
        shown["description"] = row.description
    return shown


def flavor(row: Flavor, version: Microversion) -> dict[str, Any]:
    """The full form. `swap` without swap is "" before 2.75."""
    shown: dict[str, Any] = {
        "id": row.flavorid,
        "name": row.name,
        "ram": row.memory_mib,
        "disk": row.disk_gib,
        "swap": row.swap_mib or (0 if version.minor >= 75 else ""),
        "OS-FLV-EXT-DATA:ephemeral": row.ephemeral_gib,
        "OS-FLV-DISABLED:disabled": row.is_disabled,
        "vcpus": row.vcpus,
        "os-flavor-access:is_public": row.is_public,
        "rxtx_factor": row.rxtx_factor,
        "links": links(f"flavors/{row.flavorid}"),
    }
    if version.minor >= 55:
        shown["description"] = row.description
    if version.minor >= 61:
        shown["extra_specs"] = row.extra_specs
    return shown


def access(row: Flavor) -> dict[str, Any]:
    """Who may use a flavor that is not public."""
    projects = row.access.order_by("project_id").values_list("project_id", flat=True)
    return {"flavor_access": [{"flavor_id": row.flavorid, "tenant_id": project_id} for project_id in projects]}
