"""Bodies of the verbs that make images of servers."""

from __future__ import annotations

from cloud.api.schemas import schema
from instances.api.schemas.fields import METADATA, NAME, closed, count

CREATE_IMAGE = schema(
    closed({"createImage": closed({"name": NAME, "metadata": METADATA}, ("name",))}, ("createImage",))
)
_BACKUP = {
    "name": NAME,
    "backup_type": {"type": "string", "maxLength": 255},
    "rotation": count(0),
    "metadata": METADATA,
}
CREATE_BACKUP = schema(
    closed({"createBackup": closed(_BACKUP, ("name", "backup_type", "rotation"))}, ("createBackup",))
)
