"""Asking for a token: who the credentials prove, and the scope that is asked for. Every refusal is the same 401."""

from __future__ import annotations

from typing import Any

from cloud.errors import BadRequest
from cloud.identity import tokens
from cloud.identity.models import Domain, Project, Token, User
from cloud.identity.tokens import Issued, Scope, issue, refused


def by_password(*, user: dict[str, Any], scope: Any = None) -> Issued:
    """A token for the user named by `user` (`id`, or `name` and `domain`; `password`) and the scope asked for.

    Takes as long for a user who does not exist. Raises Unauthorized; BadRequest when the user is not named in full.
    """
    password = user["password"]
    row = _named_user(user)
    if row is None:
        User().set_password(password)  # the time that checking takes
        raise refused()
    if not row.check_password(password) or not row.is_enabled or not row.domain.is_enabled:
        raise refused()
    return issue(user=row, scope=_scope(scope, row, default=True), method="password")


def by_token(*, secret: str, scope: Any = None) -> Issued:
    """A token of the same user for another scope, that ends when the first one does. Raises Unauthorized."""
    parent: Token | None = tokens.find(secret)
    if parent is None:
        raise refused()
    return issue(user=parent.user, scope=_scope(scope, parent.user, default=False), method="token", parent=parent)


def _named_user(named: dict[str, Any]) -> User | None:
    users = User.objects.select_related("domain")
    if "id" in named:
        return users.filter(pk=named["id"]).first()
    return users.filter(name=named.get("name"), **_in_domain(named, "auth/identity/password/user")).first()


def _in_domain(named: dict[str, Any], field: str) -> dict[str, str]:
    """A filter on the domain that a user or project is named in. BadRequest when it is not given."""
    domain = named.get("domain") or {}
    if "name" not in named or not ("id" in domain or "name" in domain):
        raise BadRequest(f"Invalid input for field/attribute {field}: give 'id', or 'name' and 'domain'.", field=field)
    return {"domain_id": domain["id"]} if "id" in domain else {"domain__name": domain["name"]}


def _scope(asked: Any, user: User, *, default: bool) -> Scope:
    """The scope that is asked for; without one and by `default`, the user's default project if it may be used."""
    if not asked:
        project = user.default_project if default else None
        if project and project.is_enabled and user.assignments.filter(project=project).exists():
            return Scope(project=project)
        return Scope()
    if isinstance(asked, str) or "unscoped" in asked:
        return Scope()
    if len(asked) != 1:
        raise BadRequest(f"Invalid input for field/attribute auth/scope: one of {sorted(asked)}.", field="auth/scope")
    if "project" in asked:
        return Scope(project=_project(asked["project"]))
    if "domain" in asked:
        return Scope(domain=_domain(asked["domain"]))
    return Scope(is_system=True)


def _project(named: dict[str, Any]) -> Project:
    projects = Project.objects.select_related("domain").filter(is_enabled=True, domain__is_enabled=True)
    key = (
        {"pk": named["id"]} if "id" in named else {"name": named.get("name"), **_in_domain(named, "auth/scope/project")}
    )
    project = projects.filter(**key).first()
    if project is None:
        raise refused()
    return project


def _domain(named: dict[str, Any]) -> Domain:
    if not ("id" in named or "name" in named):
        raise BadRequest(
            "Invalid input for field/attribute auth/scope/domain: give 'id' or 'name'.", field="auth/scope/domain"
        )
    key = {"pk": named["id"]} if "id" in named else {"name": named["name"]}
    domain = Domain.objects.filter(is_enabled=True, **key).first()
    if domain is None:
        raise refused()
    return domain
