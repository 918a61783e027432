"""Secrets on their way to one host (a password): sealed under that host's key, so that rows, messages and journals hold
nothing that can be read. Fernet (AES-128-CBC with HMAC-SHA256) of `cryptography`; must not know Django or the queue.
"""

from __future__ import annotations

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken

from cloud.errors import Abort


class SealBroken(Abort):
    """The sealed secret was sealed under another key, or changed on the way."""

    code = "secret.seal_broken"


def seal(host_key: str, secret: str) -> str:
    """`secret` as text that only who has `host_key` can read."""
    return _box(host_key).encrypt(secret.encode()).decode("ascii")


def unseal(host_key: str, sealed: str) -> str:
    """What was sealed. Errors: SealBroken."""
    try:
        return _box(host_key).decrypt(sealed.encode()).decode()
    except (InvalidToken, ValueError):
        raise SealBroken("a sealed secret cannot be opened with this host's key: was its key changed?") from None


def _box(host_key: str) -> Fernet:
    key = hashlib.sha256(b"kilonova sealed secret\0" + host_key.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(key))
