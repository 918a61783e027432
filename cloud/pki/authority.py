"""The cloud's own certificate authority: a key and a certificate in a directory, and what it signs."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cloud.pki.files import write_whole

CA_CERTIFICATE, CA_KEY = "ca.pem", "ca.key"
_CA_DAYS, _DAYS = 3650, 825
_RENEWED_BEFORE = timedelta(days=60)
_SKEW = timedelta(days=1)  # a clock may be behind ours


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Where a certificate and its private key are, or will be."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """An authority that is there. Its certificate is for everybody to read, its key for its owner alone."""

    directory: Path

    @property
    def certificate(self) -> Path:
        """What all who are to believe its signatures must have."""
        return self.directory / CA_CERTIFICATE

    def issue(self, pair: Pair, name: str, alternatives: Sequence[str]) -> bool:
        """After it `pair` holds a certificate for `name` that holds for `alternatives` too (names and addresses), as a
        server and as a client. False when one was there already that is of this authority and lasts."""
        names = list(dict.fromkeys([name, *alternatives]))
        if self._still_holds(pair, names):
            return False
        now, own, key = datetime.now(UTC), self._certificate(), ec.generate_private_key(ec.SECP256R1())
        usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        signed = (
            _builder(
                name, own.subject, key.public_key(), now, min(now + timedelta(days=_DAYS), own.not_valid_after_utc)
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(is_authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
            .add_extension(x509.SubjectAlternativeName([_general(each) for each in names]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(_public_key(own)), critical=False)
            .sign(self._key(), hashes.SHA256())
        )
        write_whole(pair.key, _private_pem(key), 0o600)
        write_whole(pair.certificate, signed.public_bytes(serialization.Encoding.PEM), 0o644)
        return True

    def _still_holds(self, pair: Pair, names: list[str]) -> bool:
        if not pair.key.is_file():
            return False
        found = _read(pair.certificate)
        if found is None or _ends_soon(found):
            return False
        try:
            found.verify_directly_issued_by(self._certificate())
            held = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return False
        return list(held) == [_general(name) for name in names]

    def _certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate.read_bytes())

    def _key(self) -> ec.EllipticCurvePrivateKey:
        key = serialization.load_pem_private_key((self.directory / CA_KEY).read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key


def found(directory: Path) -> Authority | None:
    """The authority in that directory; None when there is none, or its key is not for us to read."""
    authority = Authority(directory)
    return authority if authority.certificate.is_file() and os.access(directory / CA_KEY, os.R_OK) else None


def ensure(directory: Path) -> Authority:
    """The authority in that directory, made where there is none, and anew where it ends soon: then all that it signed
    has to be issued again."""
    authority = found(directory)
    if authority is not None and not _ends_soon(authority._certificate()):
        return authority
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o711)
    now, key = datetime.now(UTC), ec.generate_private_key(ec.SECP256R1())
    name = _name("Kilonova")
    signed = (
        _builder("Kilonova", name, key.public_key(), now, now + timedelta(days=_CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(is_authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_whole(directory / CA_KEY, _private_pem(key), 0o600)
    write_whole(directory / CA_CERTIFICATE, signed.public_bytes(serialization.Encoding.PEM), 0o644)
    return Authority(directory)


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(_name(name)).issuer_name(issuer).public_key(key)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(now - _SKEW).not_valid_after(until)


def _name(common: str) -> x509.Name:
    # A common name ends at 64 characters; the whole name is among the alternatives.
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Kilonova")]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=not is_authority,  # libvirt asks for it, whatever the kind of key
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _public_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption())


def _read(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return None


def _ends_soon(certificate: x509.Certificate) -> bool:
    return certificate.not_valid_after_utc - datetime.now(UTC) < _RENEWED_BEFORE
