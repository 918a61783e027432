"""Addresses and times in the form that compute's clients read."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings

from cloud.api import paging


def self_url(path: str) -> str:
    """The address of `path` under the current version."""
    return f"{settings.PUBLIC_URL}/compute/v2.1/{path}"


def bookmark_url(path: str) -> str:
    """The address of `path` that names no version."""
    return f"{settings.PUBLIC_URL}/compute/{path}"


def links(path: str) -> list[dict[str, str]]:
    """The pair of links that every resource carries."""
    return [{"rel": "self", "href": self_url(path)}, {"rel": "bookmark", "href": bookmark_url(path)}]


def next_links(request: Any, marker: object, limit: int) -> list[dict[str, str]]:
    """The link to the next page of a list."""
    return [{"rel": "next", "href": paging.next_link(request, str(marker), limit)}]


def seconds(value: datetime) -> str:
    """A UTC time to the second, with a Z: `created` and `updated`."""
    return value.isoformat(timespec="seconds")[:19] + "Z"


def micros(value: datetime | None) -> str | None:
    """A UTC time to the microsecond, without a zone: the older form, which launch times and actions keep."""
    return None if value is None else value.isoformat(timespec="microseconds")[:26]


def image_url(image_id: str) -> str:
    """The address of an image, as the reply to `createImage` gives it."""
    return f"{settings.PUBLIC_URL}/image/v2/images/{image_id}"
