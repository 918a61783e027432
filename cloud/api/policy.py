"""Who calls, and what a caller may do. Every object is checked against the caller's project by its room's selectors."""

from __future__ import annotations

from dataclasses import dataclass

from cloud.errors import Forbidden

ADMIN, MANAGER, MEMBER, READER = "admin", "manager", "member", "reader"
_IMPLIED = {ADMIN: {MANAGER, MEMBER, READER}, MANAGER: {MEMBER, READER}, MEMBER: {READER}}


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The user behind a request, scoped to one project (or to none: `project_id` is None)."""

    user_id: str
    user_name: str
    user_domain_id: str
    project_id: str | None
    project_name: str | None
    roles: frozenset[str]
    token_id: str = ""
    is_authenticated: bool = True

    @property
    def is_admin(self) -> bool:
        """Holds the role admin in the project of the token."""
        return ADMIN in self.roles

    def has_role(self, role: str) -> bool:
        """Holds `role` or one that implies it."""
        return role in self.roles or any(role in _IMPLIED.get(held, ()) for held in self.roles)


def the_cloud_itself(project_id: str) -> Caller:
    """Who acts when the cloud does something of its own accord to what a project has: an admin without a user."""
    return Caller(
        user_id="",
        user_name="kilonova",
        user_domain_id="default",
        project_id=project_id,
        project_name=None,
        roles=frozenset({ADMIN}),
    )


def require_admin(caller: Caller, what: str) -> None:
    """Forbidden unless the caller is an admin; `what` names the deed in the message."""
    if not caller.is_admin:
        raise Forbidden(f"Policy does not allow {what}: the role 'admin' is needed, the token has {_held(caller)}.")


def require_member(caller: Caller, what: str) -> None:
    """Forbidden unless the caller may change things in its project."""
    if not caller.has_role(MEMBER):
        raise Forbidden(f"Policy does not allow {what}: the role 'member' is needed, the token has {_held(caller)}.")


def require_project(caller: Caller, what: str) -> str:
    """The id of the project that the token is scoped to; Forbidden for an unscoped token."""
    if caller.project_id is None:
        raise Forbidden(f"Policy does not allow {what} with a token that is scoped to no project.")
    return caller.project_id


def _held(caller: Caller) -> str:
    return ", ".join(sorted(caller.roles)) or "no role"
