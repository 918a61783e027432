"""Asking for tokens, reading and ending them, and what ends them."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cloud.identity import tokens
from cloud.identity.models import Project, Role, RoleAssignment, Token, User
from cloud.identity.selectors import domain
from cloud.identity.services import assign_role, update_domain
from tests.unit.identity.conftest import PASSWORD
from tests.unit.identity.wire import TOKENS, Wire, credentials

UNAUTHORIZED = {
    "error": {
        "code": 401,
        "message": "The request you have made requires authentication.",
        "title": "Unauthorized",
    }
}


def test_version_documents_are_open_with_and_without_a_slash(db: None) -> None:
    for path in ("/identity", "/identity/"):
        reply = Wire().get(path)
        assert reply.status_code == 300
        assert reply.json()["versions"]["values"][0]["id"] == "v3.14"
    for path in ("/identity/v3", "/identity/v3/"):
        reply = Wire().get(path)
        assert reply.status_code == 200
        assert reply.json()["version"]["status"] == "stable"
        assert reply.json()["version"]["links"][0]["rel"] == "self"


def test_a_token_carries_user_project_roles_and_catalogue(cloud: None) -> None:
    reply = Wire().post(TOKENS, credentials("admin", PASSWORD, project="admin"))
    assert reply.status_code == 201
    token = reply.json()["token"]
    assert token["methods"] == ["password"]
    assert token["user"]["name"] == "admin"
    assert token["user"]["domain"] == {"id": "default", "name": "Default"}
    assert token["project"]["name"] == "admin"
    assert [role["name"] for role in token["roles"]] == ["admin"]
    by_type = {service["type"]: service for service in token["catalog"]}
    assert set(by_type) == {"identity", "compute", "image", "network", "placement"}
    for service in by_type.values():
        assert {e["interface"] for e in service["endpoints"]} == {"public", "internal", "admin"}
    assert by_type["compute"]["endpoints"][0]["url"].endswith("/compute/v2.1")
    assert token["expires_at"] > token["issued_at"]


def test_only_the_hash_of_a_token_is_stored(admin: Wire) -> None:
    row = Token.objects.get()
    assert row.hash == hashlib.sha256(admin.token.encode()).hexdigest()
    stored = str([list(vars(token).values()) for token in Token.objects.all()])
    assert admin.token not in stored


def test_an_authenticated_request_takes_one_query_for_the_caller(admin: Wire) -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert admin.get("/identity/v3/services").status_code == 200
    assert len(queries) == 1


@pytest.mark.parametrize(
    "scope",
    [
        {"project": {"name": "nope", "domain": {"id": "default"}}},
        {"project": {"id": "0" * 32}},
        {"domain": {"id": "nope"}},
        {"domain": {"id": "default"}},
        {"system": {"all": True}},
    ],
)
def test_a_scope_without_a_role_or_existence_is_the_same_401(user: User, scope: dict[str, Any]) -> None:
    reply = Wire().post(TOKENS, credentials("ann", PASSWORD, scope=scope))
    assert (reply.status_code, reply.json()) == (401, UNAUTHORIZED)


def test_unknown_user_wrong_password_and_unknown_domain_are_the_same_401(user: User) -> None:
    for body in (
        credentials("nobody", PASSWORD, project="blue"),
        credentials("ann", "wrong", project="blue"),
        credentials("ann", PASSWORD, domain="nope"),
    ):
        reply = Wire().post(TOKENS, body)
        assert (reply.status_code, reply.json()) == (401, UNAUTHORIZED)
        assert reply["WWW-Authenticate"].startswith("Keystone")


def test_an_unknown_user_costs_a_hash_like_a_known_one(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    monkeypatch.setattr(User, "set_password", lambda self, raw: hashed.append(raw))
    Wire().post(TOKENS, credentials("nobody", "guess"))
    assert hashed == ["guess"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "auth"),
        ({"auth": {}}, "identity"),
        ({"auth": {"identity": {"methods": []}}}, "auth/identity/methods"),
        ({"auth": {"identity": {"methods": "password"}}}, "auth/identity/methods"),
        ({"auth": {"identity": {"methods": ["password"]}}}, "password"),
        ({"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "a"}}}}}, "password"),
        (credentials("a\x00b", "x"), "auth/identity/password/user/name"),
        (credentials("ann", "x", scope="everything"), "auth/scope"),
        (credentials("ann", "x", scope={"trust": {}}), "auth/scope"),
        (
            {"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "a", "password": "b"}}}}},
            "domain",
        ),
    ],
)
def test_a_malformed_request_for_a_token_is_a_400_that_names_the_field(user: User, body: Any, named: str) -> None:
    reply = Wire().post(TOKENS, body)
    assert reply.status_code == 400
    assert named in reply.json()["error"]["message"]


def test_malformed_json_is_400_and_a_large_body_413(cloud: None) -> None:
    reply = Wire().post(TOKENS, b'{"auth": ')
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == 400
    reply = Wire().post(TOKENS, b'{"a": "' + b"x" * (113 * 1024) + b'"}')
    assert reply.status_code == 413
    assert reply.json()["error"]["title"] == "Request Entity Too Large"


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"1e999", b"\xff\xfe", b'{"auth": []}'])
def test_any_json_but_an_object_is_a_400(cloud: None, body: bytes) -> None:
    assert Wire().post(TOKENS, body).status_code == 400


def test_no_token_a_foreign_token_and_an_expired_one_are_401(admin: Wire) -> None:
    assert Wire().get("/identity/v3/users").status_code == 401
    foreign = Wire(token="gAAAAABfremd").get("/identity/v3/users")
    assert (foreign.status_code, foreign.json()) == (401, UNAUTHORIZED)
    assert foreign["WWW-Authenticate"].startswith("Keystone")
    assert foreign["X-Openstack-Request-Id"].startswith("req-")
    assert admin.get("/identity/v3/users").status_code == 200
    Token.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert admin.get("/identity/v3/users").status_code == 401


def test_a_token_of_odd_characters_is_401(cloud: None) -> None:
    for token in ("é", "x" * 5000, "a b", "'; drop table"):
        assert Wire(token=token).get("/identity/v3/users").status_code == 401


def test_expired_tokens_are_purged_and_others_stay(admin: Wire, member: Wire) -> None:
    Token.objects.filter(hash=tokens.hash_of(member.token)).update(expires_at=timezone.now())
    assert tokens.purge_expired_tokens() == 1
    assert tokens.purge_expired_tokens() == 0
    assert admin.get("/identity/v3/users").status_code == 200


def test_a_token_buys_another_that_ends_with_it(user: User) -> None:
    unscoped = Wire().post(TOKENS, credentials("ann", PASSWORD)).json()["token"]
    assert "roles" not in unscoped
    assert "catalog" not in unscoped
    first = Wire.logged_in("ann", PASSWORD)
    body = {
        "auth": {
            "identity": {"methods": ["token"], "token": {"id": first.token}},
            "scope": {"project": {"name": "blue", "domain": {"name": "Default"}}},
        }
    }
    reply = Wire().post(TOKENS, body)
    assert reply.status_code == 201
    token = reply.json()["token"]
    assert token["project"]["name"] == "blue"
    assert token["methods"] == ["password", "token"]
    assert len(token["audit_ids"]) == 2
    rows = Token.objects.in_bulk(
        [tokens.hash_of(first.token), tokens.hash_of(reply["X-Subject-Token"])], field_name="hash"
    )
    assert len({row.expires_at for row in rows.values()}) == 1


def test_scopes_by_id_domain_and_system(admin: Wire, user: User, project: Project) -> None:
    reply = Wire().post(TOKENS, credentials("ann", PASSWORD, scope={"project": {"id": project.pk}}))
    assert reply.json()["token"]["project"]["id"] == project.pk
    system = Wire().post(TOKENS, credentials("admin", PASSWORD, scope={"system": {"all": True}}))
    assert system.json()["token"]["system"] == {"all": True}
    assert Wire(token=system["X-Subject-Token"]).get("/identity/v3/users").status_code == 200
    assign_role(user=user, role=Role.objects.get(name="reader"), domain=domain("default"))
    reply = Wire().post(TOKENS, credentials("ann", PASSWORD, scope={"domain": {"name": "Default"}}))
    assert reply.json()["token"]["domain"]["id"] == "default"
    assert "project" not in reply.json()["token"]


def test_without_a_scope_the_default_project_is_taken(admin: Wire) -> None:
    reply = Wire().post(TOKENS, credentials("admin", PASSWORD))
    assert reply.json()["token"]["project"]["name"] == "admin"
    reply = Wire().post(TOKENS, credentials("admin", PASSWORD, scope="unscoped"))
    assert "project" not in reply.json()["token"]


def test_a_user_named_by_id_logs_in(user: User) -> None:
    body = {
        "auth": {
            "identity": {"methods": ["password"], "password": {"user": {"id": user.pk, "password": PASSWORD}}},
        }
    }
    assert Wire().post(TOKENS, body).status_code == 201


def test_tokens_are_read_and_ended_by_their_owner_and_by_an_admin_alone(admin: Wire, member: Wire) -> None:
    own = member.get(TOKENS, **{"X-Subject-Token": member.token})
    assert own.status_code == 200
    assert own.json()["token"]["user"]["name"] == "ann"
    assert own["X-Subject-Token"] == member.token
    assert "catalog" not in member.get(f"{TOKENS}?nocatalog", **{"X-Subject-Token": member.token}).json()["token"]
    assert member.get(TOKENS, **{"X-Subject-Token": admin.token}).status_code == 404
    assert member.delete(TOKENS, **{"X-Subject-Token": admin.token}).status_code == 404
    assert admin.head(TOKENS, **{"X-Subject-Token": member.token}).status_code == 200
    assert admin.get(TOKENS, **{"X-Subject-Token": "unknown"}).status_code == 404
    assert admin.get(TOKENS).status_code == 400
    assert admin.delete(TOKENS, **{"X-Subject-Token": member.token}).status_code == 204
    assert member.get("/identity/v3/auth/projects").status_code == 401


def test_what_takes_a_right_away_ends_the_tokens(admin: Wire, user: User, project: Project) -> None:
    def ann() -> Wire:
        return Wire.logged_in("ann", PASSWORD, project="blue")

    def alive(wire: Wire) -> bool:
        return wire.get("/identity/v3/auth/projects").status_code == 200

    base = "/identity/v3"
    role = Role.objects.get(name="member")
    held = f"{base}/projects/{project.pk}/users/{user.pk}/roles/{role.pk}"

    wire = ann()
    assert alive(wire)
    assert admin.delete(held).status_code == 204
    assert not alive(wire)
    assert admin.put(held).status_code == 204

    wire = ann()
    assert admin.patch(f"{base}/projects/{project.pk}", {"project": {"enabled": False}}).status_code == 200
    assert not alive(wire)
    assert Wire().post(TOKENS, credentials("ann", PASSWORD, project="blue")).status_code == 401
    assert admin.patch(f"{base}/projects/{project.pk}", {"project": {"enabled": True}}).status_code == 200

    wire = ann()
    assert admin.patch(f"{base}/users/{user.pk}", {"user": {"password": PASSWORD}}).status_code == 200
    assert not alive(wire)

    wire = ann()
    assert admin.patch(f"{base}/users/{user.pk}", {"user": {"enabled": False}}).status_code == 200
    assert not alive(wire)
    assert Wire().post(TOKENS, credentials("ann", PASSWORD, project="blue")).status_code == 401
    assert admin.patch(f"{base}/users/{user.pk}", {"user": {"enabled": True}}).status_code == 200

    wire = ann()
    assert admin.delete(f"{base}/projects/{project.pk}").status_code == 204
    assert not alive(wire)


def test_disabling_a_domain_ends_the_tokens_of_its_users(admin: Wire) -> None:
    made = admin.post("/identity/v3/domains", {"domain": {"name": "d1"}}).json()["domain"]
    user = {"user": {"name": "u", "password": "p", "domain_id": made["id"]}}
    assert admin.post("/identity/v3/users", user).status_code == 201
    wire = Wire.logged_in("u", "p", domain=made["id"])
    assert wire.get("/identity/v3/auth/projects").status_code == 200
    update_domain(domain=domain(made["id"]), is_enabled=False)
    assert wire.get("/identity/v3/auth/projects").status_code == 401
    assert Wire().post(TOKENS, credentials("u", "p", domain=made["id"])).status_code == 401


def test_own_projects_domains_catalogue_and_system(admin: Wire, member: Wire) -> None:
    assert [p["name"] for p in member.get("/identity/v3/auth/projects").json()["projects"]] == ["blue"]
    assert member.get("/identity/v3/auth/domains").json()["domains"] == []
    assert len(member.get("/identity/v3/auth/catalog").json()["catalog"]) == 5
    assert member.get("/identity/v3/auth/system").json()["system"] == []
    assert admin.get("/identity/v3/auth/system").json()["system"] == [{"all": True}]


def test_bootstrap_is_repeatable_and_needs_a_password_once(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADMIN_PASSWORD", raising=False)
    with pytest.raises(CommandError, match="ADMIN_PASSWORD"):
        call_command("bootstrap")
    assert not User.objects.exists()
    monkeypatch.setenv("ADMIN_PASSWORD", "first")
    call_command("bootstrap")
    monkeypatch.setenv("ADMIN_PASSWORD", "second")
    call_command("bootstrap")
    admin = User.objects.get()
    assert admin.check_password("first")
    assert admin.is_superuser
    assert {role.name for role in Role.objects.all()} == {"admin", "manager", "member", "reader"}
    assert RoleAssignment.objects.count() == 2
