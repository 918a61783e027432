"""Bodies of the verbs around a delete."""

from __future__ import annotations

from cloud.api.schemas import schema
from instances.api.schemas.fields import closed

FORCE_DELETE = schema(closed({"forceDelete": {}}, ("forceDelete",)))
RESTORE = schema(closed({"restore": {}}, ("restore",)))
