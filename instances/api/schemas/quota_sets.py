"""Bodies of quota sets, by microversion."""

from __future__ import annotations

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from cloud.api.microversions import Microversion
from cloud.api.schemas import schema
from instances.api.schemas.fields import BOOLEAN, closed
from instances.quotas import DEFAULTS, MAX_LIMIT

_LIMIT: dict[str, Any] = {
    "anyOf": [
        {"type": "integer", "minimum": -1, "maximum": MAX_LIMIT},
        {"type": "string", "pattern": r"^(-1|[0-9]{1,9})\Z"},
    ]
}
_OF_NETWORKS = frozenset({"fixed_ips", "floating_ips", "security_groups", "security_group_rules"})  # gone with 2.36
_OF_FILES = frozenset({"injected_files", "injected_file_content_bytes", "injected_file_path_bytes"})  # gone with 2.57


def resources(version: Microversion, *, of_class: bool = False) -> tuple[str, ...]:
    """The resources that a version knows. Quota classes gave up their network resources later, with 2.50."""
    last_of_networks = 49 if of_class else 35
    return tuple(
        name
        for name in DEFAULTS
        if not (name in _OF_NETWORKS and version.minor > last_of_networks)
        and not (name in _OF_FILES and version.minor > 56)
        and not (of_class and name.startswith("server_group") and version.minor < 50)
    )


@cache
def update(version: Microversion) -> Draft202012Validator:
    """PUT /os-quota-sets/{project}."""
    properties = dict.fromkeys(resources(version), _LIMIT)
    return schema(closed({"quota_set": closed({**properties, "force": BOOLEAN})}, ("quota_set",)))


@cache
def update_class(version: Microversion) -> Draft202012Validator:
    """PUT /os-quota-class-sets/{class}."""
    properties = dict.fromkeys(resources(version, of_class=True), _LIMIT)
    return schema(closed({"quota_class_set": closed(properties)}, ("quota_class_set",)))
