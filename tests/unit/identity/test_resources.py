"""Domains, projects, users, roles and assignments: the requests of the `openstack` client, policy, and bad input."""

from __future__ import annotations

from typing import Any

import pytest

from cloud.identity.models import Project, Role, RoleAssignment, User
from tests.unit.identity.conftest import PASSWORD
from tests.unit.identity.wire import TOKENS, Wire, credentials

V3 = "/identity/v3"


def names(reply: Any, key: str) -> list[str]:
    return [item["name"] for item in reply.json()[key]]


def test_the_clients_road_from_project_to_role(admin: Wire) -> None:
    reply = admin.post(f"{V3}/projects", {"project": {"name": "p1", "enabled": True, "domain_id": "default"}})
    assert reply.status_code == 201
    project = reply.json()["project"]
    assert project["parent_id"] == project["domain_id"] == "default"
    assert project["is_domain"] is False
    assert admin.get(f"{V3}/projects/p1").status_code == 404
    assert names(admin.get(f"{V3}/projects?name=p1"), "projects") == ["p1"]
    body = {
        "user": {"name": "u1", "password": "x", "default_project_id": project["id"], "enabled": True, "options": {}}
    }
    reply = admin.post(f"{V3}/users", body)
    assert reply.status_code == 201
    user = reply.json()["user"]
    assert user["default_project_id"] == project["id"]
    assert "password" not in user
    assert admin.get(f"{V3}/roles/member").status_code == 404
    (role,) = admin.get(f"{V3}/roles?name=member").json()["roles"]
    assert admin.get(f"{V3}/users/u1").status_code == 404
    assert names(admin.get(f"{V3}/users?name=u1"), "users") == ["u1"]
    held = f"{V3}/projects/{project['id']}/users/{user['id']}/roles/{role['id']}"
    assert admin.head(held).status_code == 404
    for _ in range(2):
        reply = admin.put(held)
        assert (reply.status_code, reply.content) == (204, b"")
    assert admin.head(held).status_code == 204
    assert admin.get(held).status_code == 204
    held_roles = admin.get(f"{V3}/projects/{project['id']}/users/{user['id']}/roles")
    assert names(held_roles, "roles") == ["member"]
    assert RoleAssignment.objects.filter(user=user["id"]).count() == 1
    assert Wire().post(TOKENS, credentials("u1", "x", project="p1")).status_code == 201
    assert admin.delete(held).status_code == 204
    assert admin.delete(held).status_code == 404


def test_role_assignment_list_with_names(admin: Wire, user: User, project: Project) -> None:
    rows = admin.get(f"{V3}/role_assignments?include_names=True").json()["role_assignments"]
    assert len(rows) == 3  # the admin has two
    (row,) = [row for row in rows if row["user"]["id"] == user.pk]
    assert row["user"] == {"id": user.pk, "name": "ann", "domain": {"id": "default", "name": "Default"}}
    assert row["role"]["name"] == "member"
    assert row["scope"]["project"]["name"] == "blue"
    assert row["links"]["assignment"].endswith(f"/projects/{project.pk}/users/{user.pk}/roles/{row['role']['id']}")
    plain = admin.get(f"{V3}/role_assignments?user.id={user.pk}&effective").json()["role_assignments"]
    assert plain[0]["user"] == {"id": user.pk}
    assert plain[0]["role"] == {"id": row["role"]["id"]}

    def count(query: str) -> int:
        return len(admin.get(f"{V3}/role_assignments?{query}").json()["role_assignments"])

    assert count(f"scope.project.id={project.pk}") == 1
    assert count(f"role.id={row['role']['id']}") == 1
    assert count("scope.system=all") == 1
    assert count("user.id=unknown") == 0
    assert count("group.id=any") == 0


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("users", "users"),
        ("projects", "projects"),
        ("roles", "roles"),
        ("endpoints", "endpoints"),
        ("services", "services"),
        ("domains", "domains"),
        ("regions", "regions"),
        ("credentials", "credentials"),
        ("groups", "groups"),
        ("role_assignments", "role_assignments"),
    ],
)
def test_lists_have_their_key_and_links(admin: Wire, path: str, key: str) -> None:
    for address in (f"{V3}/{path}", f"{V3}/{path}/"):
        reply = admin.get(address)
        assert reply.status_code == 200
        assert set(reply.json()) == {key, "links"}
        assert set(reply.json()["links"]) == {"self", "next", "previous"}


def test_services_endpoints_and_region_by_id_and_filter(admin: Wire) -> None:
    (compute,) = admin.get(f"{V3}/services?type=compute").json()["services"]
    assert admin.get(f"{V3}/services/{compute['id']}").json()["service"] == compute
    endpoints = admin.get(f"{V3}/endpoints?service_id={compute['id']}&interface=public").json()["endpoints"]
    assert [e["url"].rpartition("/compute")[2] for e in endpoints] == ["/v2.1"]
    assert admin.get(f"{V3}/endpoints/{endpoints[0]['id']}").status_code == 200
    assert admin.get(f"{V3}/services/compute").status_code == 404
    assert admin.get(f"{V3}/endpoints/x").status_code == 404
    assert admin.get(f"{V3}/regions/{endpoints[0]['region_id']}").status_code == 200
    assert admin.get(f"{V3}/regions/Mars").status_code == 404


def test_lists_are_paged_when_a_limit_is_given(admin: Wire) -> None:
    for number in range(5):
        admin.post(f"{V3}/projects", {"project": {"name": f"p{number}"}})
    seen: list[str] = []
    address = f"{V3}/projects?limit=2"
    while address:
        body = admin.get(address).json()
        assert len(body["projects"]) <= 2
        seen += [project["name"] for project in body["projects"]]
        address = body["links"]["next"]
    assert seen == ["admin", "p0", "p1", "p2", "p3", "p4"]
    assert admin.get(f"{V3}/projects?limit=two").status_code == 400
    assert admin.get(f"{V3}/projects?limit=2&marker=unknown").status_code == 400


def test_a_member_reads_itself_and_its_projects_and_nothing_else(
    admin: Wire, member: Wire, user: User, project: Project
) -> None:
    assert member.get(f"{V3}/users/{user.pk}").json()["user"]["email"] == "ann@example.org"
    assert member.get(f"{V3}/projects/{project.pk}").status_code == 200
    assert names(member.get(f"{V3}/users/{user.pk}/projects"), "projects") == ["blue"]
    assert member.get(f"{V3}/users/{user.pk}/groups").json()["groups"] == []
    assert member.get(f"{V3}/role_assignments?user.id={user.pk}").status_code == 200
    other = User.objects.get(name="admin")
    foreign = Project.objects.get(name="admin")
    for path in (
        "users",
        "projects",
        "domains",
        "roles",
        "role_assignments",
        f"role_assignments?user.id={other.pk}",
        f"users/{other.pk}",
        f"users/{other.pk}/projects",
        f"projects/{foreign.pk}",
        "projects/unknown",
    ):
        reply = member.get(f"{V3}/{path}")
        assert reply.status_code == 403, path
        assert reply.json()["error"]["title"] == "Forbidden"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "projects", {"project": {"name": "x"}}),
        ("PATCH", "projects/{project}", {"project": {"name": "x"}}),
        ("DELETE", "projects/{project}", None),
        ("POST", "users", {"user": {"name": "x"}}),
        ("PATCH", "users/{user}", {"user": {"name": "x"}}),
        ("DELETE", "users/{user}", None),
        ("POST", "roles", {"role": {"name": "x"}}),
        ("DELETE", "roles/{role}", None),
        ("POST", "domains", {"domain": {"name": "x"}}),
        ("PATCH", "domains/default", {"domain": {"name": "x"}}),
        ("DELETE", "domains/default", None),
        ("PUT", "projects/{project}/users/{user}/roles/{role}", None),
        ("DELETE", "projects/{project}/users/{user}/roles/{role}", None),
        ("PUT", "system/users/{user}/roles/{role}", None),
    ],
)
def test_only_an_admin_changes_things(
    member: Wire, user: User, project: Project, method: str, path: str, body: Any
) -> None:
    role = Role.objects.get(name="admin")
    address = path.format(project=project.pk, user=user.pk, role=role.pk)
    assert member.request(method, f"{V3}/{address}", body).status_code == 403
    assert RoleAssignment.objects.filter(user=user).count() == 1


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("projects", {"project": {}}, "name"),
        ("projects", {"project": {"name": ""}}, "project/name"),
        ("projects", {"project": {"name": "   "}}, "project/name"),
        ("projects", {"project": {"name": "x" * 256}}, "project/name"),
        ("projects", {"project": {"name": "a\x00"}}, "project/name"),
        ("projects", {"project": {"name": 7}}, "project/name"),
        ("projects", {"project": {"name": "x", "enabled": "yes"}}, "project/enabled"),
        ("projects", {"project": {"name": "x", "domain_id": "nope"}}, "domain_id"),
        ("projects", {"project": {"name": "x", "domain_id": "default", "parent_id": "0" * 32}}, "parent_id"),
        ("projects", {"project": {"name": "x", "is_domain": True}}, "project/is_domain"),
        ("projects", {"project": {"name": "x", "description": "a\x00"}}, "project/description"),
        ("users", {"user": {"name": ""}}, "user/name"),
        ("users", {"user": {"name": "x" * 256}}, "user/name"),
        ("users", {"user": {"name": "x", "password": 5}}, "user/password"),
        ("users", {"user": {"name": "x", "default_project_id": "nope"}}, "default_project_id"),
        ("roles", {"role": {"name": ""}}, "role/name"),
        ("domains", {"domain": {"name": None}}, "domain/name"),
        ("users", {}, "user"),
    ],
)
def test_bad_input_is_a_400_that_names_the_field(admin: Wire, path: str, body: Any, named: str) -> None:
    before = (Project.objects.count(), User.objects.count(), Role.objects.count())
    reply = admin.post(f"{V3}/{path}", body)
    assert reply.status_code == 400
    assert named in reply.json()["error"]["message"]
    assert (Project.objects.count(), User.objects.count(), Role.objects.count()) == before


def test_odd_ids_and_queries_are_never_a_500(admin: Wire) -> None:
    for path in ("%00", "a%00b", "%F0%9F%8C%8D", "a b", "..", "x" * 2000, "%ff"):
        for kind in ("users", "projects", "roles", "domains"):
            assert admin.get(f"{V3}/{kind}/{path}").status_code == 404
    assert admin.get(f"{V3}/projects?name=%00").status_code == 400
    assert admin.get(f"{V3}/projects?enabled=maybe").status_code == 400
    assert admin.get(f"{V3}/nothing").json()["error"]["code"] == 404
    assert admin.put(f"{V3}/projects").json()["error"]["code"] == 405


def test_names_are_unique_in_their_domain(admin: Wire) -> None:
    for path, key in (("projects", "project"), ("users", "user"), ("roles", "role"), ("domains", "domain")):
        assert admin.post(f"{V3}/{path}", {key: {"name": "twice"}}).status_code == 201
        reply = admin.post(f"{V3}/{path}", {key: {"name": "twice"}})
        assert reply.status_code == 409
        assert "twice" in reply.json()["error"]["message"]
    domain = admin.get(f"{V3}/domains?name=twice").json()["domains"][0]["id"]
    assert admin.post(f"{V3}/users", {"user": {"name": "twice", "domain_id": domain}}).status_code == 201
    other = admin.post(f"{V3}/projects", {"project": {"name": "other"}}).json()["project"]["id"]
    assert admin.patch(f"{V3}/projects/{other}", {"project": {"name": "twice"}}).status_code == 409


def test_changes_of_projects_users_roles_and_domains(admin: Wire, user: User, project: Project) -> None:
    reply = admin.patch(f"{V3}/projects/{project.pk}", {"project": {"name": "green", "description": "new"}})
    assert (reply.json()["project"]["name"], reply.json()["project"]["description"]) == ("green", "new")
    reply = admin.patch(
        f"{V3}/users/{user.pk}", {"user": {"email": None, "default_project_id": project.pk, "name": "anne"}}
    )
    assert "email" not in reply.json()["user"]
    assert reply.json()["user"]["name"] == "anne"
    assert admin.patch(f"{V3}/users/{user.pk}", {"user": {"domain_id": "other"}}).status_code == 400
    role = admin.post(f"{V3}/roles", {"role": {"name": "auditor"}}).json()["role"]["id"]
    assert admin.patch(f"{V3}/roles/{role}", {"role": {"name": "checker"}}).json()["role"]["name"] == "checker"
    assert admin.delete(f"{V3}/roles/{role}").status_code == 204
    assert admin.get(f"{V3}/roles/{role}").status_code == 404
    assert admin.delete(f"{V3}/users/{user.pk}").status_code == 204
    assert admin.get(f"{V3}/users/{user.pk}").status_code == 404


def test_a_domain_is_disabled_before_it_is_deleted_and_the_default_one_never(admin: Wire) -> None:
    domain = admin.post(f"{V3}/domains", {"domain": {"name": "d"}}).json()["domain"]["id"]
    assert admin.delete(f"{V3}/domains/{domain}").status_code == 403
    assert admin.patch(f"{V3}/domains/{domain}", {"domain": {"enabled": False}}).status_code == 200
    assert admin.delete(f"{V3}/domains/{domain}").status_code == 204
    assert admin.delete(f"{V3}/domains/default").status_code == 403
    assert admin.patch(f"{V3}/domains/default", {"domain": {"enabled": False}}).status_code == 403


def test_users_are_filtered_by_enabled(admin: Wire, user: User) -> None:
    admin.patch(f"{V3}/users/{user.pk}", {"user": {"enabled": False}})
    assert names(admin.get(f"{V3}/users?enabled=false"), "users") == ["ann"]
    assert names(admin.get(f"{V3}/users?enabled"), "users") == ["admin"]


def test_a_user_changes_its_own_password_with_the_old_one(admin: Wire, member: Wire, user: User) -> None:
    path = f"{V3}/users/{user.pk}/password"
    wrong = {"user": {"password": "new", "original_password": "wrong"}}
    assert member.post(path, wrong).status_code == 401
    assert member.post(path, {"user": {"password": "new"}}).status_code == 400
    right = {"user": {"password": "new", "original_password": PASSWORD}}
    assert admin.post(path, right).status_code == 403
    assert member.post(path, right).status_code == 204
    assert member.get(f"{V3}/auth/projects").status_code == 401
    assert Wire().post(TOKENS, credentials("ann", PASSWORD)).status_code == 401
    assert Wire().post(TOKENS, credentials("ann", "new")).status_code == 201


def test_a_user_without_a_password_cannot_log_in(admin: Wire) -> None:
    assert admin.post(f"{V3}/users", {"user": {"name": "robot"}}).status_code == 201
    for password in ("", "!", "None"):
        assert Wire().post(TOKENS, credentials("robot", password)).status_code == 401
