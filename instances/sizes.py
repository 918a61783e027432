"""The columns of an instance that its flavor fills: taken from a flavor, kept, and put into a row again."""

from __future__ import annotations

import copy
from typing import Any, Final

from instances.models import Flavor, Instance

_COLUMNS: Final = (
    "flavor_id",
    "flavor_name",
    "vcpus",
    "memory_mib",
    "disk_gib",
    "ephemeral_gib",
    "swap_mib",
    "extra_specs",
    "disk_config",
)


def size_of(instance: Instance) -> dict[str, Any]:
    """What the instance's row says of its flavor now, as JSON."""
    return {name: getattr(instance, name) for name in _COLUMNS}


def size_in(flavor: Flavor, disk_config: str) -> dict[str, Any]:
    """What the row of an instance of that flavor says."""
    return {
        "flavor_id": flavor.flavorid,
        "flavor_name": flavor.name,
        "vcpus": flavor.vcpus,
        "memory_mib": flavor.memory_mib,
        "disk_gib": flavor.disk_gib,
        "ephemeral_gib": flavor.ephemeral_gib,
        "swap_mib": flavor.swap_mib,
        "extra_specs": flavor.extra_specs,
        "disk_config": disk_config,
    }


def resized(instance: Instance, size: dict[str, Any], **columns: Any) -> Instance:
    """A copy of the row with that size and those columns, not saved: what a guest of it would be."""
    row = copy.copy(instance)
    for name, value in {**size, **columns}.items():
        setattr(row, name, value)
    return row
