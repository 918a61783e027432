"""Key pairs: a user's public keys. Clients before 2.92 may have them made here; a private key is never kept."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import IntegrityError, transaction

from cloud.api.policy import Caller, require_admin
from cloud.errors import BadRequest, Conflict
from instances import quotas
from instances.models import KeyPair, KeyType

MAX_PUBLIC_KEY = 16_384
SSH_TYPES = frozenset(
    {
        "ssh-ed25519",
        "ssh-rsa",
        "ssh-dss",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    }
)


class KeyPairExists(Conflict):
    """The user has a key pair of that name."""

    code = "keypair.exists"


class InvalidPublicKey(BadRequest):
    """What was sent is no public key of its type."""

    code = "keypair.invalid_public_key"


@dataclass(frozen=True, kw_only=True)
class NewKeyPair:
    """The row, and the private key if it was made here: shown once."""

    row: KeyPair
    private_key: str | None


def create_keypair(
    *, caller: Caller, name: str, key_type: str = KeyType.SSH, public_key: str | None = None, user_id: str | None = None
) -> NewKeyPair:
    """Keeps the user's key, or makes an ed25519 pair when none is given. `user_id`: another user's, for admins.

    Raises KeyPairExists, InvalidPublicKey, QuotaExceeded.
    """
    owner = own_or_admin(caller, user_id)
    private_key = None
    if public_key is None:
        if key_type != KeyType.SSH:
            raise InvalidPublicKey(f"Key pairs of type {key_type} are not made here: send a public_key.")
        private_key, public_key = _generate(name)
    public_key = public_key.strip()
    print_of = _ssh_fingerprint if key_type == KeyType.SSH else _x509_fingerprint
    fingerprint = print_of(public_key)
    try:
        with transaction.atomic():
            quotas.take_key_pair(project_id=caller.project_id, user_id=owner)
            row = KeyPair.objects.create(
                user_id=owner, name=name, type=key_type, public_key=public_key, fingerprint=fingerprint
            )
    except IntegrityError:
        raise KeyPairExists(f"Key pair '{name}' already exists.", name=name) from None
    return NewKeyPair(row=row, private_key=private_key)


def delete_keypair(*, keypair: KeyPair) -> None:
    """The key pair is gone; guests keep the key that they were given."""
    keypair.delete()


def own_or_admin(caller: Caller, user_id: str | None) -> str:
    """The user meant: the caller, or, for an admin, the one named."""
    if user_id is None or user_id == caller.user_id:
        return caller.user_id
    require_admin(caller, "handling key pairs of another user")
    return user_id


# --- keys -------------------------------------------------------------------------------------------------------------


def _generate(name: str) -> tuple[str, str]:
    """A private key in OpenSSH's PEM and its public key on one line."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), f"{public.decode()} Generated-by-Kilonova"


def _ssh_fingerprint(public_key: str) -> str:
    """MD5 of the key's bytes, in pairs of hex digits, as OpenStack shows it. Raises InvalidPublicKey."""
    blob = _ssh_blob(public_key)
    return ":".join(f"{byte:02x}" for byte in hashlib.md5(blob, usedforsecurity=False).digest())


def _ssh_blob(public_key: str) -> bytes:
    """The bytes of one line `type base64 [comment]` (RFC 4253, section 6.6)."""
    shown = repr(public_key[:60])
    if len(public_key) > MAX_PUBLIC_KEY:
        raise InvalidPublicKey(f"Keypair data is invalid: public_key is longer than {MAX_PUBLIC_KEY} characters.")
    if "\n" in public_key or "\r" in public_key:
        raise InvalidPublicKey(f"Keypair data is invalid: public_key {shown} has more than one line.")
    kind, _, rest = public_key.partition(" ")
    encoded = rest.split(" ", 1)[0]
    if kind not in SSH_TYPES:
        raise InvalidPublicKey(f"Keypair data is invalid: failed to generate fingerprint of public_key {shown}.")
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidPublicKey(f"Keypair data is invalid: public_key {shown} is not base64.") from None
    length = int.from_bytes(blob[:4], "big")
    if len(blob) <= 4 + length or blob[4 : 4 + length] != kind.encode():
        raise InvalidPublicKey(f"Keypair data is invalid: public_key {shown} is no key of type {kind}.")
    return blob


def _x509_fingerprint(certificate: str) -> str:
    """SHA-1 of the certificate, in pairs of hex digits. Raises InvalidPublicKey."""
    if len(certificate) > MAX_PUBLIC_KEY:
        raise InvalidPublicKey(f"Keypair data is invalid: public_key is longer than {MAX_PUBLIC_KEY} characters.")
    try:
        found = x509.load_pem_x509_certificate(certificate.encode())
    except ValueError:
        raise InvalidPublicKey("Keypair data is invalid: public_key is no certificate in PEM form.") from None
    return ":".join(f"{byte:02x}" for byte in found.fingerprint(hashes.SHA1()))  # noqa: S303
