"""Bodies of a server's tags."""

from cloud.api.schemas import schema
from instances.api.schemas.fields import TAG, closed

TAGS = schema(closed({"tags": {"type": "array", "items": TAG, "maxItems": 50}}, ("tags",)))
ONE = schema({**TAG})
