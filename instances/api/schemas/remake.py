"""Bodies of the verbs that give a guest another disk, by microversion."""

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
    UUID,
    closed,
)

_PASSWORD = {"type": "string", "minLength": 1, "maxLength": 255}
_HOST = {"type": "string", "minLength": 1, "maxLength": 255}


@cache
def rebuild(version: Microversion) -> Draft202012Validator:
    """The action `rebuild`."""
    minor = version.minor
    properties: dict[str, Any] = {
        "imageRef": UUID,
        "name": NAME,
        "adminPass": _PASSWORD,
        "metadata": METADATA,
        "preserve_ephemeral": BOOLEAN,
        "OS-DCF:diskConfig": DISK_CONFIG,
        "accessIPv4": ADDRESS_V4,
        "accessIPv6": ADDRESS_V6,
    }
    if minor < 57:
        properties["personality"] = {"type": "array"}
    if minor >= 19:
        properties["description"] = DESCRIPTION
    if minor >= 54:
        properties["key_name"] = {"anyOf": [NAME, {"type": "null"}]}
    if minor >= 57:
        properties["user_data"] = {"type": ["string", "null"]}
    if minor >= 63:
        properties["trusted_image_certificates"] = {"enum": [None, []]}
    if minor >= 90:
        properties["hostname"] = HOSTNAME
    return schema(closed({"rebuild": closed(properties, ("imageRef",))}, ("rebuild",)))


_RESCUE = closed({"adminPass": _PASSWORD, "rescue_image_ref": UUID})
RESCUE = schema(closed({"rescue": {"anyOf": [{"type": "null"}, _RESCUE]}}, ("rescue",)))
UNRESCUE = schema(closed({"unrescue": {}}, ("unrescue",)))


@cache
def evacuate(version: Microversion) -> Draft202012Validator:
    """The action `evacuate`."""
    minor = version.minor
    properties: dict[str, Any] = {"host": _HOST, "adminPass": _PASSWORD}
    if minor < 14:
        properties["onSharedStorage"] = BOOLEAN
    if 29 <= minor < 68:
        properties["force"] = BOOLEAN
    required = ("onSharedStorage",) if minor < 14 else ()
    return schema(closed({"evacuate": closed(properties, required)}, ("evacuate",)))
