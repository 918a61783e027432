"""Bodies of flavors, by microversion."""

from __future__ import annotations

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from cloud.api.microversions import Microversion
from cloud.api.schemas import schema
from instances.api.schemas.fields import BOOLEAN, MAX_INT, NAME, closed, count

__all__ = ["ACTION", "EXTRA_SPEC", "EXTRA_SPECS", "MAX_INT", "UPDATE", "create"]

_DESCRIPTION = {"type": ["string", "null"], "maxLength": 65535}
_KEY = r"^[a-zA-Z0-9\-_:. ]{1,255}\Z"
_PROJECT = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^\S+\Z"}


@cache
def create(version: Microversion) -> Draft202012Validator:
    """POST /flavors."""
    properties: dict[str, Any] = {
        "name": NAME,
        "id": {
            "anyOf": [
                {"type": "null"},
                {"type": "integer", "minimum": 0, "maximum": 2**53},
                {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^(?! )[a-zA-Z0-9. _\-]+(?<! )\Z"},
            ]
        },
        "ram": count(1),
        "vcpus": count(1, 4096),
        "disk": count(0),
        "OS-FLV-EXT-DATA:ephemeral": count(0),
        "swap": {"anyOf": [count(0), {"const": ""}]},
        "rxtx_factor": {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": 3e38},
                {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,9})?\Z"},
            ]
        },
        "os-flavor-access:is_public": BOOLEAN,
    }
    if version.minor >= 55:
        properties["description"] = _DESCRIPTION
    return schema(closed({"flavor": closed(properties, ("name", "ram", "vcpus", "disk"))}, ("flavor",)))


UPDATE = schema(closed({"flavor": closed({"description": _DESCRIPTION}, ("description",))}, ("flavor",)))
_VALUE = {"type": ["string", "number"], "maxLength": 255}
EXTRA_SPECS = schema(
    closed(
        {"extra_specs": {"type": "object", "propertyNames": {"pattern": _KEY}, "additionalProperties": _VALUE}},
        ("extra_specs",),
    )
)
EXTRA_SPEC = schema(
    {
        "type": "object",
        "propertyNames": {"pattern": _KEY},
        "additionalProperties": _VALUE,
        "minProperties": 1,
        "maxProperties": 1,
    }
)
ACTION = schema(
    {
        **closed(
            {
                "addTenantAccess": closed({"tenant": _PROJECT}, ("tenant",)),
                "removeTenantAccess": closed({"tenant": _PROJECT}, ("tenant",)),
            }
        ),
        "minProperties": 1,
        "maxProperties": 1,
    }
)
