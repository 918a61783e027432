"""Reads of this room. What a caller may read is decided here, beside the query."""

from __future__ import annotations

from typing import TypeVar

from django.db.models import Model, QuerySet

from cloud.api.policy import Caller, require_admin
from cloud.errors import Forbidden, NotFound
from cloud.identity.models import Domain, Project, Role, RoleAssignment, User

M = TypeVar("M", bound=Model)


class IdentityNotFound(NotFound):
    """No domain, project, user, role or token with this id."""

    code = "identity.not_found"


def _by_id(model: type[M], object_id: str, noun: str) -> M:
    row = model._default_manager.filter(pk=object_id).first()
    if row is None:
        raise IdentityNotFound(f"Could not find {noun}: {object_id[:80]}.", **{noun: object_id})
    return row


def domain(domain_id: str) -> Domain:
    """The domain, or IdentityNotFound."""
    return _by_id(Domain, domain_id, "domain")


def project(project_id: str) -> Project:
    """The project, or IdentityNotFound."""
    return _by_id(Project, project_id, "project")


def user(user_id: str) -> User:
    """The user, or IdentityNotFound."""
    return _by_id(User, user_id, "user")


def role(role_id: str) -> Role:
    """The role, or IdentityNotFound."""
    return _by_id(Role, role_id, "role")


def projects_of(user_id: str) -> QuerySet[Project]:
    """The projects in which the user holds a role."""
    held = RoleAssignment.objects.filter(user=user_id, project__isnull=False)
    return Project.objects.filter(pk__in=held.values("project"))


def domains_of(user_id: str) -> QuerySet[Domain]:
    """The domains in which the user holds a role."""
    held = RoleAssignment.objects.filter(user=user_id, domain__isnull=False)
    return Domain.objects.filter(pk__in=held.values("domain"))


def readable_project(caller: Caller, project_id: str) -> Project:
    """The project, for an admin or a user who holds a role in it.

    Forbidden for others, whether it exists or not. IdentityNotFound for an admin when it does not.
    """
    if not caller.is_admin and caller.project_id != project_id:
        own = projects_of(caller.user_id).filter(pk=project_id).first()
        if own is None:
            require_admin(caller, "reading this project")
    return project(project_id)


def readable_user(caller: Caller, user_id: str, what: str = "reading this user") -> User:
    """The user, for an admin or itself. Forbidden for others, whether it exists or not."""
    if caller.user_id != user_id:
        require_admin(caller, what)
    return user(user_id)


def readable_domain(caller: Caller, domain_id: str) -> Domain:
    """The domain, for an admin or a user of it. Forbidden for others, whether it exists or not."""
    if caller.user_domain_id != domain_id:
        require_admin(caller, "reading this domain")
    return domain(domain_id)


def readable_assignments(caller: Caller, user_id: str | None) -> QuerySet[RoleAssignment]:
    """All assignments for an admin; a user's own when it asks for those of itself (`user_id`). Forbidden else."""
    rows = RoleAssignment.objects.select_related("user__domain", "role", "project__domain", "domain")
    if not caller.is_admin and user_id != caller.user_id:
        raise Forbidden("Policy does not allow reading the role assignments of others: the role 'admin' is needed.")
    return rows
