"""Fields that several bodies have."""

from __future__ import annotations

from typing import Any

from cloud.api.schemas import BOOLEAN, NAME, UUID

__all__ = ["BOOLEAN", "NAME", "UUID"]

MAX_INT = 2_147_483_647

DESCRIPTION = {"type": ["string", "null"], "maxLength": 255}
METADATA = {
    "type": "object",
    "maxProperties": 1024,
    "propertyNames": {"minLength": 1, "maxLength": 255, "pattern": r"^[a-zA-Z0-9\-_:. ]+\Z"},
    "additionalProperties": {"type": "string", "maxLength": 255},
}
TAG = {"type": "string", "minLength": 1, "maxLength": 60, "pattern": r"^[^,/]*\Z"}
DISK_CONFIG = {"enum": ["AUTO", "MANUAL"]}
ADDRESS_V4 = {"anyOf": [{"type": "string", "format": "ipv4"}, {"enum": ["", None]}]}
ADDRESS_V6 = {"anyOf": [{"type": "string", "format": "ipv6"}, {"enum": ["", None]}]}
HOSTNAME = {
    "type": "string",
    "minLength": 1,
    "maxLength": 63,
    "pattern": r"^[a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?\Z",
}


def count(minimum: int, maximum: int = MAX_INT) -> dict[str, Any]:
    """A whole number, or its text, as old clients send it."""
    return {
        "anyOf": [
            {"type": "integer", "minimum": minimum, "maximum": maximum},
            {"type": "string", "pattern": r"^[0-9]{1,10}\Z"},
        ]
    }


def closed(properties: dict[str, Any], required: tuple[str, ...] = ()) -> dict[str, Any]:
    """An object with these properties and no others."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
