"""JSON schemas of image bodies, and JSON patches as changes."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict

from cloud.api.schemas import UUID, schema, validate
from cloud.errors import BadRequest
from cloud.images.changes import ATTRIBUTES, MAX_PROPERTIES, MAX_TAGS, Change, Op, check_writable
from cloud.images.models import ContainerFormat, DiskFormat, MemberStatus, Visibility
from cloud.images.selectors import uuid_of

_NUL_FREE = "^[^\\x00]*$"
_MAX_INT = 2**31 - 1  # the databases' integer
TAG = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": _NUL_FREE}
PROPERTY = {"type": "string", "maxLength": 65535, "pattern": _NUL_FREE}
PROJECT_ID = {"type": "string", "minLength": 1, "maxLength": 32, "pattern": "^[^\\x00/]*$"}
# What may be written, by the wire's names.
FIELDS: dict[str, dict[str, Any]] = {
    "name": {"type": ["string", "null"], "maxLength": 255, "pattern": _NUL_FREE},
    "visibility": {"enum": Visibility.values},
    "protected": {"type": "boolean"},
    "os_hidden": {"type": "boolean"},
    "disk_format": {"enum": [*DiskFormat.values, None]},
    "container_format": {"enum": [*ContainerFormat.values, None]},
    "min_disk": {"type": "integer", "minimum": 0, "maximum": _MAX_INT},
    "min_ram": {"type": "integer", "minimum": 0, "maximum": _MAX_INT},
    "owner": PROJECT_ID,
    "tags": {"type": "array", "items": TAG, "maxItems": MAX_TAGS},
}
_NAME_OF_PROPERTY = {"minLength": 1, "maxLength": 255, "pattern": "^[^\\x00-\\x1f\\x7f]+$"}
CREATE = schema(
    {
        "type": "object",
        "properties": {**FIELDS, "id": UUID},
        "additionalProperties": PROPERTY,
        "propertyNames": _NAME_OF_PROPERTY,
        "maxProperties": MAX_PROPERTIES + len(FIELDS) + 1,
    }
)
_CHANGED = schema(
    {
        "type": "object",
        "properties": FIELDS,
        "additionalProperties": PROPERTY,
        "propertyNames": _NAME_OF_PROPERTY,
    }
)
_TAG = schema({"type": "object", "properties": {"tag": TAG}})
PATCH_2_1 = schema(
    {
        "type": "array",
        "maxItems": 500,
        "items": {
            "type": "object",
            "properties": {"op": {"enum": [*Op]}, "path": {"type": "string", "pattern": "^/", "maxLength": 1024}},
            "required": ["op", "path"],
            "if": {"properties": {"op": {"const": Op.REMOVE.value}}},
            "else": {"required": ["value"]},
        },
    }
)
PATCH_2_0 = schema(
    {
        "type": "array",
        "maxItems": 500,
        "items": {
            "type": "object",
            "properties": {op.value: {"type": "string", "pattern": "^/", "maxLength": 1024} for op in Op},
            "oneOf": [{"required": [op.value]} for op in Op],
            "if": {"required": [Op.REMOVE.value]},
            "else": {"required": ["value"]},
        },
    }
)
ADD_MEMBER = schema({"type": "object", "properties": {"member": PROJECT_ID}, "required": ["member"]})
SET_MEMBER = schema({"type": "object", "properties": {"status": {"enum": MemberStatus.values}}, "required": ["status"]})
_QUERY = schema({"type": "object", "additionalProperties": {"type": "string", "maxLength": 4096, "pattern": _NUL_FREE}})


def query_of(parameters: QueryDict) -> dict[str, str]:
    """The query string, the last value of each name. BadRequest for what no database can look for."""
    for name in parameters:
        if "\x00" in name:
            raise BadRequest(f"Invalid input for query parameter {name[:80]!r}.")
    return validate(_QUERY, parameters.dict())


def tag_of(text: str) -> str:
    """A tag from an address. BadRequest when it is too long."""
    return str(validate(_TAG, {"tag": text})["tag"])


def stored(name: str, value: Any) -> Any:
    """A valid value of the wire as the model keeps it: no null texts, whole integers."""
    if value is None:
        return ""
    return int(value) if name in ("min_disk", "min_ram") else value


def create_fields(body: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """The fields (by the model's names) and properties of a create body. BadRequest; Forbidden for read-only ones."""
    if isinstance(body, dict):
        for name in body:
            if name != "id":
                check_writable(name)
    validate(CREATE, body)
    if "id" in body and uuid_of(body["id"]) is None:
        raise BadRequest(f"Invalid input for field/attribute id. Value: {body['id']!r}. It is no UUID.", field="id")
    fields = {ATTRIBUTES[name]: stored(name, value) for name, value in body.items() if name in ATTRIBUTES}
    fields["tags"] = list(dict.fromkeys(fields.get("tags", [])))
    if "id" in body:
        fields["id"] = uuid_of(body["id"])
    properties = {name: value for name, value in body.items() if name not in ATTRIBUTES and name != "id"}
    return fields, properties


def patch_2_1(body: Any) -> list[Change]:
    """`[{"op": "add", "path": "/x", "value": …}]`. BadRequest, Forbidden."""
    validate(PATCH_2_1, body)
    return [_change(Op(item["op"]), item["path"], item.get("value")) for item in body]


def patch_2_0(body: Any) -> list[Change]:
    """The older `[{"add": "/x", "value": …}]`. BadRequest, Forbidden."""
    validate(PATCH_2_0, body)
    changes = []
    for item in body:
        op = next(op for op in Op if op.value in item)
        changes.append(_change(op, item[op.value], item.get("value")))
    return changes


def _change(op: Op, path: str, value: Any) -> Change:
    """One operation, its value checked. Clients that compute their patch address single tags: `/tags/0`."""
    name, *rest = [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]
    check_writable(name)
    if rest and not (name == "tags" and len(rest) == 1 and (rest[0] == "-" or _is_index(rest[0]))):
        raise BadRequest(f"Invalid input for field/attribute path. Value: {path[:200]!r}. It must name one attribute.")
    if op is Op.REMOVE:
        return Change(op=op, name=name, position=rest[0] if rest else None)
    if rest:
        return Change(op=op, name=name, value=tag_of_value(value), position=rest[0])
    validate(_CHANGED, {name: value})
    return Change(op=op, name=name, value=stored(name, value))


def tag_of_value(value: Any) -> str:
    """A tag from a body. BadRequest when it is none."""
    return str(validate(_TAG, {"tag": value})["tag"])


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 4
