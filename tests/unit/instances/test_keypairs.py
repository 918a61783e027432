"""Key pairs: imported, made, shown, deleted."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from instances.models import KeyPair
from tests.unit.identity.wire import Wire
from tests.unit.instances.conftest import API, at

PATH = f"{API}/os-keypairs"
# A key and its fingerprint as `ssh-keygen -E md5 -l` prints it.
PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f someone@somewhere"


def make(wire: Wire, version: str = "2.91", **fields: Any) -> Any:
    return wire.post(PATH, {"keypair": {"name": "k", "public_key": PUBLIC, **fields}}, **at(version))


def ecdsa_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def test_a_key_is_imported_and_shown(ann: Wire) -> None:
    reply = make(ann)
    assert reply.status_code == 201
    made = reply.json()["keypair"]
    assert set(made) == {"name", "public_key", "fingerprint", "user_id", "type"}
    assert made["public_key"] == PUBLIC
    assert len(made["fingerprint"]) == 47
    shown = ann.get(f"{PATH}/k", **at("2.10")).json()["keypair"]
    assert set(shown) == set(made) | {"id", "created_at", "updated_at", "deleted", "deleted_at"}
    [listed] = ann.get(PATH, **at("2.10")).json()["keypairs"]
    assert set(listed["keypair"]) == {"name", "public_key", "fingerprint", "type"}


def test_the_replies_of_2_1_have_no_type_and_other_codes(ann: Wire) -> None:
    reply = make(ann, version="2.1")
    assert reply.status_code == 200
    assert "type" not in reply.json()["keypair"]
    assert "type" not in ann.get(PATH).json()["keypairs"][0]["keypair"]
    assert ann.delete(f"{PATH}/k", **at("2.1")).status_code == 202
    assert ann.get(f"{PATH}/k").status_code == 404


def test_a_deleted_key_is_204_and_then_404(ann: Wire) -> None:
    make(ann)
    assert ann.delete(f"{PATH}/k", **at("2.10")).status_code == 204
    assert ann.delete(f"{PATH}/k", **at("2.10")).status_code == 404


def test_before_2_92_a_pair_is_made_on_request_and_its_private_half_shown_once(ann: Wire) -> None:
    reply = ann.post(PATH, {"keypair": {"name": "k"}}, **at("2.91"))
    assert reply.status_code == 201
    made = reply.json()["keypair"]
    private = serialization.load_ssh_private_key(made["private_key"].encode(), None)
    assert isinstance(private, ed25519.Ed25519PrivateKey)
    public = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    assert made["public_key"].startswith(public.decode())
    assert "private_key" not in ann.get(f"{PATH}/k").json()["keypair"]
    assert KeyPair.objects.count() == 1


def test_the_keys_that_clients_make_are_taken(ann: Wire) -> None:
    assert make(ann, name="ecdsa", public_key=ecdsa_key()).status_code == 201
    assert make(ann, name="blanks", public_key=f"  {PUBLIC}\n").status_code == 201


def test_a_certificate_is_taken_as_x509(ann: Wire) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "me")])
    now = datetime.datetime(2026, 1, 1)
    built = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    pem = built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    reply = make(ann, type="x509", public_key=pem)
    assert reply.status_code == 201, reply.content
    assert reply.json()["keypair"]["type"] == "x509"
    assert len(reply.json()["keypair"]["fingerprint"]) == 59
    assert make(ann, name="bad", type="x509").status_code == 400
    assert ann.post(PATH, {"keypair": {"name": "n", "type": "x509"}}, **at("2.91")).status_code == 400


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        ("2.91", {"name": ""}),
        ("2.91", {"name": "a@b"}),
        ("2.91", {"name": " a"}),
        ("2.91", {"name": "a\n"}),
        ("2.91", {"name": "x" * 256}),
        ("2.91", {"public_key": "not a key"}),
        ("2.91", {"public_key": "ssh-rsa AAAA"}),
        ("2.91", {"public_key": PUBLIC.replace("ssh-ed25519", "ssh-rsa")}),
        ("2.91", {"public_key": "ssh-ed25519 !!!!"}),
        ("2.91", {"public_key": f"{PUBLIC}\ncommand=evil {PUBLIC}"}),
        ("2.91", {"public_key": PUBLIC + "x" * 20_000}),
        ("2.91", {"public_key": ""}),
        ("2.91", {"public_key": "\x00"}),
        ("2.91", {"public_key": 7}),
        ("2.91", {"type": "gpg"}),
        ("2.1", {"type": "ssh"}),
        ("2.9", {"user_id": "a"}),
    ],
)
def test_a_wrong_key_pair_is_400_and_none_is_kept(ann: Wire, version: str, fields: dict[str, Any]) -> None:
    reply = make(ann, version=version, **fields)
    assert reply.status_code == 400, reply.content
    assert reply.json()["badRequest"]["message"]
    assert not KeyPair.objects.exists()


def test_from_2_92_the_public_key_is_needed_and_names_may_have_dots(ann: Wire) -> None:
    assert ann.post(PATH, {"keypair": {"name": "k"}}, **at("2.92")).status_code == 400
    assert make(ann, version="2.92", name="me@host.example").status_code == 201
    assert ann.get(f"{PATH}/me@host.example", **at("2.92")).status_code == 200


def test_a_name_is_one_per_user(ann: Wire, bob: Wire) -> None:
    assert make(ann).status_code == 201
    assert make(ann).status_code == 409
    assert make(bob).status_code == 201
    assert ann.delete(f"{PATH}/k").status_code == 202
    assert bob.get(f"{PATH}/k").status_code == 200


def test_an_admin_handles_the_keys_of_another_user_from_2_10_on(ann: Wire, admin: Wire) -> None:
    user = make(ann).json()["keypair"]["user_id"]
    assert admin.get(f"{PATH}?user_id={user}", **at("2.9")).json() == {"keypairs": []}
    assert len(admin.get(f"{PATH}?user_id={user}", **at("2.10")).json()["keypairs"]) == 1
    assert admin.get(f"{PATH}/k?user_id={user}", **at("2.10")).status_code == 200
    assert make(admin, name="given", user_id=user).status_code == 201
    assert len(ann.get(PATH).json()["keypairs"]) == 2
    assert ann.get(f"{PATH}?user_id={'f' * 32}", **at("2.10")).status_code == 403
    assert make(ann, name="x", user_id="f" * 32).status_code == 403


def test_key_pairs_come_in_pages_from_2_35_on(ann: Wire) -> None:
    for name in "cab":
        make(ann, name=name)
    first = ann.get(f"{PATH}?limit=2", **at("2.35")).json()
    assert [item["keypair"]["name"] for item in first["keypairs"]] == ["a", "b"]
    assert "marker=b" in first["keypairs_links"][0]["href"]
    rest = ann.get(f"{PATH}?limit=2&marker=b", **at("2.35")).json()
    assert [item["keypair"]["name"] for item in rest["keypairs"]] == ["c"]
    assert ann.get(f"{PATH}?marker=z", **at("2.35")).status_code == 400
    assert len(ann.get(f"{PATH}?limit=1", **at("2.34")).json()["keypairs"]) == 3


def test_more_key_pairs_than_the_quota_are_403(ann: Wire, settings: Any) -> None:
    settings.QUOTA_DEFAULTS = {"key_pairs": 1}
    assert make(ann, name="a").status_code == 201
    reply = make(ann, name="b")
    assert reply.status_code == 403
    assert reply.json()["forbidden"]["message"] == "Quota exceeded, too many key pairs."
