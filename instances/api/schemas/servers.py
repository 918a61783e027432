"""Bodies of servers, by microversion."""

from __future__ import annotations

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from cloud.api.microversions import Microversion
from cloud.api.schemas import schema
from instances.api.schemas.fields import (
    ADDRESS_V4,
    ADDRESS_V6,
    BOOLEAN,
    DESCRIPTION,
    DISK_CONFIG,
    HOSTNAME,
    METADATA,
    NAME,
    TAG,
    UUID,
    closed,
    count,
)

_TEXT = {"type": "string", "maxLength": 255}
_ITEM_OF_NETWORKS: dict[str, Any] = {
    "uuid": {"type": ["string", "null"], "maxLength": 255},
    "port": {"anyOf": [UUID, {"type": "null"}]},
    "fixed_ip": {"type": ["string", "null"], "maxLength": 64},
}
# What volumes will need is taken here and refused in words by the view.
_BLOCK_DEVICES = {"type": "array", "maxItems": 255, "items": {"type": "object"}}
_HINTS = {"type": "object", "maxProperties": 64}


@cache
def create(version: Microversion) -> Draft202012Validator:
    """POST /servers."""
    minor = version.minor
    has_tag = minor == 32 or minor >= 42
    item = closed({**_ITEM_OF_NETWORKS, **({"tag": TAG} if has_tag else {})})
    networks: dict[str, Any] = {"type": "array", "items": item, "maxItems": 64}
    if minor >= 37:
        networks = {"if": {"type": "string"}, "then": {"enum": ["auto", "none"]}, "else": networks}
    properties: dict[str, Any] = {
        "name": NAME,
        "imageRef": {"anyOf": [UUID, {"const": ""}]},
        "flavorRef": {"type": ["string", "integer"], "minLength": 1, "maxLength": 255},
        "adminPass": {"type": "string", "minLength": 1, "maxLength": 255},
        "metadata": METADATA,
        "networks": networks,
        "OS-DCF:diskConfig": DISK_CONFIG,
        "accessIPv4": ADDRESS_V4,
        "accessIPv6": ADDRESS_V6,
        "availability_zone": NAME,
        "block_device_mapping": _BLOCK_DEVICES,
        "block_device_mapping_v2": _BLOCK_DEVICES,
        "config_drive": BOOLEAN,
        "key_name": NAME,
        "min_count": count(1, 1000),
        "max_count": count(1, 1000),
        "return_reservation_id": BOOLEAN,
        "security_groups": {"type": "array", "maxItems": 64, "items": closed({"name": NAME}, ("name",))},
        "user_data": {"type": "string"},  # its length and form are checked where the error says which
    }
    if minor < 57:
        properties["personality"] = {"type": "array"}
    if minor >= 19:
        properties["description"] = DESCRIPTION
    if minor >= 52:
        properties["tags"] = {"type": "array", "items": TAG, "maxItems": 50}
    if minor >= 63:
        properties["trusted_image_certificates"] = {"enum": [None, []]}
    if minor >= 74:
        properties |= {"host": _TEXT, "hypervisor_hostname": _TEXT}
    if minor >= 90:
        properties["hostname"] = HOSTNAME
    required = ("name", "flavorRef", "networks") if minor >= 37 else ("name", "flavorRef")
    return schema(
        closed(
            {
                "server": closed(properties, required),
                "os:scheduler_hints": _HINTS,
                "OS-SCH-HNT:scheduler_hints": _HINTS,
            },
            ("server",),
        )
    )


@cache
def update(version: Microversion) -> Draft202012Validator:
    """PUT /servers/{id}."""
    properties: dict[str, Any] = {
        "name": NAME,
        "OS-DCF:diskConfig": DISK_CONFIG,
        "accessIPv4": ADDRESS_V4,
        "accessIPv6": ADDRESS_V6,
    }
    if version.minor >= 19:
        properties["description"] = DESCRIPTION
    if version.minor >= 90:
        properties["hostname"] = HOSTNAME
    return schema(closed({"server": closed(properties)}, ("server",)))


ACTION = schema({"type": "object", "minProperties": 1, "maxProperties": 1})
CONSOLE_OUTPUT = schema(
    closed(
        {
            "os-getConsoleOutput": {
                "type": ["object", "null"],
                "properties": {
                    "length": {
                        "anyOf": [
                            {"type": "integer", "minimum": -1, "maximum": 1_000_000},
                            {"type": "string", "pattern": r"^-?[0-9]{1,6}\Z"},
                            {"type": "null"},
                        ]
                    }
                },
                "additionalProperties": False,
            }
        },
        ("os-getConsoleOutput",),
    )
)


@cache
def lock(version: Microversion) -> Draft202012Validator:
    """The action `lock`, which takes a reason from 2.73 on."""
    if version.minor < 73:
        return schema(closed({"lock": {}}, ("lock",)))
    reason = {"locked_reason": {"type": "string", "minLength": 1, "maxLength": 255}}
    return schema(closed({"lock": {"anyOf": [{"type": "null"}, closed(reason)]}}, ("lock",)))
