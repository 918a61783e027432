"""What may be changed on an image, by the names that the wire uses; changes come as JSON patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cloud.errors import BadRequest, Conflict, Forbidden
from cloud.images.models import Image

# The wire's name of each attribute that may be written, and ours.
ATTRIBUTES = {
    "name": "name",
    "visibility": "visibility",
    "protected": "is_protected",
    "os_hidden": "is_hidden",
    "disk_format": "disk_format",
    "container_format": "container_format",
    "min_disk": "min_disk",
    "min_ram": "min_ram",
    "owner": "project_id",
    "tags": "tags",
}
READ_ONLY = frozenset(
    {
        *("id", "status", "size", "virtual_size", "created_at", "updated_at", "deleted", "deleted_at"),
        *("checksum", "os_hash_algo", "os_hash_value"),
        *("self", "file", "schema", "direct_url", "location", "locations", "stores"),
    }
)
MAX_PROPERTIES = MAX_TAGS = 128


class ReadOnlyAttribute(Forbidden):
    """The attribute is not for clients to write."""

    code = "image.read_only"


class NoSuchAttribute(Conflict):
    """A patch replaces or removes what the image does not have."""

    code = "image.no_such_attribute"


class Op(StrEnum):
    """What a change does."""

    ADD = "add"
    REPLACE = "replace"
    REMOVE = "remove"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One operation of a patch on one attribute; `position` is the index in `tags`, or `-` for its end."""

    op: Op
    name: str
    value: Any = None
    position: str | None = None


@dataclass(frozen=True, kw_only=True)
class Document:
    """The writable side of an image, by our names, and its properties."""

    fields: dict[str, Any]
    properties: dict[str, str]


def document_of(image: Image) -> Document:
    """The image as it is."""
    fields = {field: getattr(image, field) for field in ATTRIBUTES.values()}
    return Document(fields={**fields, "tags": list(image.tags)}, properties=dict(image.properties))


def check_writable(name: str) -> None:
    """ReadOnlyAttribute when clients may not write the attribute."""
    if name in READ_ONLY:
        raise ReadOnlyAttribute(f"Attribute '{name}' is read-only.", field=name)


def apply(document: Document, changes: Sequence[Change]) -> Document:
    """The document after all changes, in order. ReadOnlyAttribute, NoSuchAttribute, BadRequest (limits)."""
    fields, properties = dict(document.fields), dict(document.properties)
    fields["tags"] = list(fields["tags"])
    for change in changes:
        check_writable(change.name)
        if change.position is not None:
            _change_tag(fields["tags"], change)
        elif change.name in ATTRIBUTES:
            if change.op is Op.REMOVE:
                raise ReadOnlyAttribute(f"Property {change.name} may not be removed.", field=change.name)
            fields[ATTRIBUTES[change.name]] = change.value
        else:
            _change_property(properties, change)
    fields["tags"] = list(dict.fromkeys(fields["tags"]))
    result = Document(fields=fields, properties=properties)
    check_limits(result)
    return result


def check_limits(document: Document) -> None:
    """BadRequest when there are too many properties or tags."""
    for what, count, limit in (
        ("properties", len(document.properties), MAX_PROPERTIES),
        ("tags", len(document.fields.get("tags", ())), MAX_TAGS),
    ):
        if count > limit:
            raise BadRequest(f"The image would have {count} {what}; at most {limit} are taken.", field=what)


def _change_property(properties: dict[str, str], change: Change) -> None:
    if change.op is not Op.ADD and change.name not in properties:
        raise NoSuchAttribute(f"Property {change.name} does not exist.", field=change.name)
    if change.op is Op.REMOVE:
        del properties[change.name]
    else:
        properties[change.name] = change.value


def _change_tag(tags: list[str], change: Change) -> None:
    at_end = change.position == "-"
    index = len(tags) if at_end else int(change.position or 0)
    if index > len(tags) or (change.op is not Op.ADD and index == len(tags)):
        raise NoSuchAttribute(f"Tag number {change.position} does not exist.", field="tags")
    if change.op is Op.ADD:
        tags.insert(index, change.value)
    elif change.op is Op.REPLACE:
        tags[index] = change.value
    else:
        del tags[index]
