"""Bodies of what is done to an instance out of the ordinary: its state, its administrator's password."""

from __future__ import annotations

from cloud.api.schemas import schema
from instances.api.schemas.fields import closed

RESET_STATE = schema(
    closed({"os-resetState": closed({"state": {"enum": ["active", "error"]}}, ("state",))}, ("os-resetState",))
)
CHANGE_PASSWORD = schema(
    closed(
        {"changePassword": closed({"adminPass": {"type": "string", "maxLength": 255}}, ("adminPass",))},
        ("changePassword",),
    )
)
