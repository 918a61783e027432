"""Bodies of key pairs, by microversion."""

from __future__ import annotations

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from cloud.api.microversions import Microversion
from cloud.api.schemas import schema
from instances.api.schemas.fields import closed

_NAME = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": r"^[a-zA-Z0-9_\-]([a-zA-Z0-9_\- ]*[a-zA-Z0-9_\-])?\Z",
}
_NAME_V292 = {**_NAME, "pattern": r"^[a-zA-Z0-9@._\-]([a-zA-Z0-9@._\- ]*[a-zA-Z0-9@._\-])?\Z"}
_USER = {"type": "string", "minLength": 1, "maxLength": 32, "pattern": r"^[0-9a-zA-Z_\-]+\Z"}


@cache
def create(version: Microversion) -> Draft202012Validator:
    """POST /os-keypairs. From 2.92 on the public key is required, and names may have @ and dots."""
    is_newest = version.minor >= 92
    properties: dict[str, Any] = {
        "name": _NAME_V292 if is_newest else _NAME,
        "public_key": {"type": "string", "minLength": 1},
    }
    if version.minor >= 2:
        properties["type"] = {"enum": ["ssh", "x509"]}
    if version.minor >= 10:
        properties["user_id"] = _USER
    required = ("name", "public_key") if is_newest else ("name",)
    return schema(closed({"keypair": closed(properties, required)}, ("keypair",)))
