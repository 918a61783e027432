"""The certificates of this machine when TLS is on: for the API, Flower and the embedded Redis (decision 0014)."""

from __future__ import annotations

import hashlib
import socket
from urllib.parse import urlsplit

from cloud.embedded.settings import Settings
from cloud.pki import authority
from cloud.pki.authority import Pair


def server(settings: Settings) -> Pair:
    """Where the certificate and the key are with which this machine's servers answer."""
    return Pair(certificate=settings.tls_dir / "server.pem", key=settings.tls_dir / "server.key")


def ensure(settings: Settings) -> bool:
    """After it the authority and this machine's certificate are there and last; says whether either was made."""
    if not settings.has_tls:
        return False
    name, *others = names(settings)
    return authority.ensure(settings.tls_dir).issue(server(settings), name, others)


def names(settings: Settings) -> list[str]:
    """Every name and address by which this machine's servers may be reached: its own first."""
    said = [settings.get(name) for name in ("API_HOST", "FLOWER_ADDRESS", "REDIS_HOST", "HOST_IP")]
    said += [urlsplit(settings.get(name)).hostname or "" for name in ("PUBLIC_URL", "FLOWER_URL", "IMAGES_URL")]
    said += [name.strip() for name in settings.get("TLS_NAMES").split(",")]
    found = [socket.gethostname(), "localhost", "127.0.0.1", "::1", *said]
    return list(dict.fromkeys(name for name in found if name and name not in {"0.0.0.0", "::"}))


def digest(settings: Settings) -> str:
    """Names the certificate in use: another one wants the servers restarted. Empty without TLS."""
    path = server(settings).certificate
    return hashlib.sha256(path.read_bytes()).hexdigest() if settings.has_tls and path.is_file() else ""
