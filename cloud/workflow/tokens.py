"""Keys of hosts and the tokens of orders (rule R7). Keys are derived and never stored: see `HOST_KEYS_SECRET`."""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache

from django.conf import settings

from cloud.workflow.models import Host


def host_key(host: Host) -> str:
    """The key that `host` signs with, hex. A new `key_serial` makes a new key."""
    return _derive(settings.HOST_KEYS_SECRET, host.name, host.key_serial)


@lru_cache(maxsize=16384)
def _derive(secret: str, name: str, serial: int) -> str:
    return hmac.new(secret.encode(), f"host:{name}:{serial}".encode(), hashlib.sha256).hexdigest()
