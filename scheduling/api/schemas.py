"""The shapes of request bodies."""

from __future__ import annotations

from cloud.api.schemas import BOOLEAN, NAME, schema

_REASON = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^\x00]*\Z"}

UPDATE_SERVICE = schema(
    {
        "type": "object",
        "properties": {
            "status": {"enum": ["enabled", "disabled"]},
            "disabled_reason": _REASON,
            "forced_down": BOOLEAN,
        },
        "minProperties": 1,
        "additionalProperties": False,
    }
)
LEGACY_SERVICE = schema(
    {
        "type": "object",
        "properties": {"host": NAME, "binary": NAME},
        "required": ["host", "binary"],
        "additionalProperties": False,
    }
)
LEGACY_SERVICE_REASON = schema(
    {
        "type": "object",
        "properties": {"host": NAME, "binary": NAME, "disabled_reason": _REASON},
        "required": ["host", "binary", "disabled_reason"],
        "additionalProperties": False,
    }
)
LEGACY_SERVICE_FORCED = schema(
    {
        "type": "object",
        "properties": {"host": NAME, "binary": NAME, "forced_down": BOOLEAN},
        "required": ["host", "binary"],
        "additionalProperties": False,
    }
)
