"""Bodies of shelve, shelveOffload and unshelve, the last by microversion."""

from __future__ import annotations

from functools import cache

from jsonschema import Draft202012Validator

from cloud.api.microversions import Microversion
from cloud.api.schemas import schema
from instances.api.schemas.fields import NAME, closed

SHELVE = schema(closed({"shelve": {}}, ("shelve",)))
SHELVE_OFFLOAD = schema(closed({"shelveOffload": {}}, ("shelveOffload",)))
_ZONE_OR_NONE = {"anyOf": [{"type": "null"}, NAME]}


@cache
def unshelve(version: Microversion) -> Draft202012Validator:
    """A zone may be named from 2.77 on, a host from 2.91 on; an empty object is neither."""
    if version.minor < 77:
        return schema(closed({"unshelve": {}}, ("unshelve",)))
    place = closed({"availability_zone": NAME}, ("availability_zone",))
    if version.minor >= 91:
        place = {**closed({"availability_zone": _ZONE_OR_NONE, "host": NAME}), "minProperties": 1}
    return schema(closed({"unshelve": {"anyOf": [{"type": "null"}, place]}}, ("unshelve",)))
