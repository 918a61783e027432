"""Bodies of live migrations and of what is done to them."""

from __future__ import annotations

from jsonschema import Draft202012Validator

from cloud.api.microversions import Microversion
from cloud.api.schemas import NAME, schema
from instances.api.schemas.fields import BOOLEAN, closed

_HOST = {"anyOf": [NAME, {"type": "null"}]}
_BLOCK_OR_AUTO = {"anyOf": [BOOLEAN, {"enum": ["auto"]}]}


def _body(properties: dict[str, object], required: tuple[str, ...]) -> Draft202012Validator:
    return schema(closed({"os-migrateLive": closed(properties, required)}, ("os-migrateLive",)))


_V2_1 = _body(
    {"host": _HOST, "block_migration": BOOLEAN, "disk_over_commit": BOOLEAN},
    ("host", "block_migration", "disk_over_commit"),
)
_V2_25 = _body({"host": _HOST, "block_migration": _BLOCK_OR_AUTO}, ("host", "block_migration"))
_V2_30 = _body({"host": _HOST, "block_migration": _BLOCK_OR_AUTO, "force": BOOLEAN}, ("host", "block_migration"))

FORCE_COMPLETE = schema(closed({"force_complete": {"type": "null"}}, ("force_complete",)))


def migrate_live(version: Microversion) -> Draft202012Validator:
    """`os-migrateLive`: "auto" from 2.25, when the over-commit went; `force` from 2.30 to 2.67."""
    if version.minor < 25:
        return _V2_1
    return _V2_30 if 30 <= version.minor < 68 else _V2_25
