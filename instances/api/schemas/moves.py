"""Bodies of the verbs that move a guest at rest, and the query of the list of migrations."""

from __future__ import annotations

from functools import cache

from jsonschema import Draft202012Validator

from cloud.api.microversions import Microversion
from cloud.api.schemas import schema
from instances.api.schemas.fields import DISK_CONFIG, NAME, closed

_FLAVOR = {"type": ["string", "integer"], "minLength": 1, "maxLength": 255}
RESIZE = schema(
    closed({"resize": closed({"flavorRef": _FLAVOR, "OS-DCF:diskConfig": DISK_CONFIG}, ("flavorRef",))}, ("resize",))
)
CONFIRM = schema(closed({"confirmResize": {}}, ("confirmResize",)))
REVERT = schema(closed({"revertResize": {}}, ("revertResize",)))


@cache
def migrate(version: Microversion) -> Draft202012Validator:
    """`migrate`; from 2.56 it may name a host."""
    if version.minor < 56:
        return schema(closed({"migrate": {}}, ("migrate",)))
    host = closed({"host": {"anyOf": [NAME, {"type": "null"}]}})
    return schema(closed({"migrate": {**host, "type": ["object", "null"]}}, ("migrate",)))
