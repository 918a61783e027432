"""Bodies of a server's metadata."""

from cloud.api.schemas import schema
from instances.api.schemas.fields import METADATA, closed

ITEMS = schema(closed({"metadata": METADATA}, ("metadata",)))
ITEM = schema(closed({"meta": {**METADATA, "minProperties": 1, "maxProperties": 1}}, ("meta",)))
