"""Bodies of what administrators do to an instance."""

from __future__ import annotations

from cloud.api.schemas import schema
from instances.api.schemas.fields import closed

RESET_STATE = schema(
    closed({"os-resetState": closed({"state": {"enum": ["active", "error"]}}, ("state",))}, ("os-resetState",))
)
