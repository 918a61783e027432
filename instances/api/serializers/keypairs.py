"""A key pair in a list, alone, and when it was made."""

from __future__ import annotations

from typing import Any

from cloud.api.microversions import Microversion
from instances.api.links import micros
from instances.models import KeyPair


def in_list(row: KeyPair, version: Microversion) -> dict[str, Any]:
    """One of many."""
    shown: dict[str, Any] = {"name": row.name, "public_key": row.public_key, "fingerprint": row.fingerprint}
    if version.minor >= 2:
        shown["type"] = row.type
    return {"keypair": shown}


def keypair(row: KeyPair, version: Microversion) -> dict[str, Any]:
    """One alone."""
    shown = in_list(row, version)["keypair"] | {
        "user_id": row.user_id,
        "id": row.pk,
        "created_at": micros(row.created_at),
        "updated_at": None,
        "deleted": False,
        "deleted_at": None,
    }
    return {"keypair": shown}


def created(row: KeyPair, private_key: str | None, version: Microversion) -> dict[str, Any]:
    """A new one; the private key is shown here and never again."""
    shown = in_list(row, version)["keypair"] | {"user_id": row.user_id}
    if private_key is not None:
        shown["private_key"] = private_key
    return {"keypair": shown}
