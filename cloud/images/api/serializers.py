"""Rows as glance's clients read them: an image is flat, its properties beside its attributes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from cloud.images.models import Image, ImageMember

_VERSIONS = ("v2.16", "v2.9", "v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0")


def timestamp(value: datetime) -> str:
    """Glance's form: UTC, whole seconds and a Z."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def versions() -> dict[str, Any]:
    """The versions that clients discover; the first one is current."""
    links = [{"rel": "self", "href": f"{settings.PUBLIC_URL}/image/v2/"}]
    return {
        "versions": [
            {"id": name, "status": "SUPPORTED" if number else "CURRENT", "links": links}
            for number, name in enumerate(_VERSIONS)
        ]
    }


def image(row: Image) -> dict[str, Any]:
    """An image; what it has not yet is null."""
    path = f"/v2/images/{row.pk}"
    return {
        **row.properties,
        "id": str(row.pk),
        "name": row.name or None,
        "status": row.status,
        "visibility": row.visibility,
        "protected": row.is_protected,
        "os_hidden": row.is_hidden,
        "owner": row.project_id,
        "disk_format": row.disk_format or None,
        "container_format": row.container_format or None,
        "min_disk": row.min_disk,
        "min_ram": row.min_ram,
        "size": row.size or None,
        "virtual_size": row.virtual_size or None,
        "checksum": row.checksum or None,
        "os_hash_algo": row.os_hash_algo or None,
        "os_hash_value": row.os_hash_value or None,
        "tags": row.tags,
        "created_at": timestamp(row.created_at),
        "updated_at": timestamp(row.updated_at),
        "self": path,
        "file": f"{path}/file",
        "schema": "/v2/schemas/image",
    }


def member(row: ImageMember) -> dict[str, Any]:
    """A project that an image is shared with."""
    return {
        "image_id": str(row.image_id),
        "member_id": row.project_id,
        "status": row.status,
        "created_at": timestamp(row.created_at),
        "updated_at": timestamp(row.updated_at),
        "schema": "/v2/schemas/member",
    }


def _texts(*names: str) -> dict[str, Any]:
    return {name: {"type": "string"} for name in names}


def json_schema(name: str) -> dict[str, Any] | None:
    """The description of `image`, `images`, `member` or `members` for clients that ask; None for others."""
    item: dict[str, Any]
    if name.startswith("image"):
        texts = ["id", "name", "status", "visibility", "owner", "disk_format", "container_format"]
        texts += ["checksum", "os_hash_algo", "os_hash_value"]
        properties = {
            **{key: {"type": ["null", "string"]} for key in texts},
            **{key: {"type": ["null", "integer"]} for key in ("size", "virtual_size", "min_disk", "min_ram")},
            **{key: {"type": "boolean"} for key in ("protected", "os_hidden")},
            "tags": {"type": "array", "items": {"type": "string"}},
            **_texts("created_at", "updated_at", "self", "file", "schema"),
        }
        item = {"name": "image", "properties": properties, "additionalProperties": {"type": "string"}}
    else:
        texts = ["image_id", "member_id", "status", "created_at", "updated_at", "schema"]
        item = {"name": "member", "properties": _texts(*texts)}
    if name in ("image", "member"):
        return item
    if name not in ("images", "members"):
        return None
    return {
        "name": name,
        "properties": {name: {"type": "array", "items": item}, **_texts("first", "next", "schema")},
        "links": [{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"}],
    }
