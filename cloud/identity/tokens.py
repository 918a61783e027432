"""Tokens: issued, found, revoked, purged. A secret is random, shown once, and stored as its SHA-256 alone."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from cloud.api.policy import Caller
from cloud.errors import Unauthorized
from cloud.identity.models import Domain, Project, RoleAssignment, Token, User

UNAUTHORIZED = "The request you have made requires authentication."


def refused() -> Unauthorized:
    """The one answer to whatever is wrong with credentials, a token or a scope: it tells a guesser nothing."""
    return Unauthorized(UNAUTHORIZED)


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Where a token is valid: one project, one domain, the system, or nowhere (unscoped)."""

    project: Project | None = None
    domain: Domain | None = None
    is_system: bool = False

    @property
    def is_unscoped(self) -> bool:
        """Valid for asking who one is and for asking for another token."""
        return self.project is None and self.domain is None and not self.is_system


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A new token: `secret` goes to the client and nowhere else."""

    secret: str
    token: Token


def hash_of(secret: str) -> str:
    """What is stored for a secret."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


@transaction.atomic
def issue(*, user: User, scope: Scope, method: str, parent: Token | None = None) -> Issued:
    """A token of `user` for `scope` with the roles held there; one asked for with a token ends when that one does.

    Raises Unauthorized when the user holds no role in the scope.
    """
    # The lock orders this against what takes roles away: either the role is gone here, or the token is there to revoke.
    if not User.objects.select_for_update().filter(pk=user.pk, is_enabled=True).exists():
        raise refused()
    roles = _roles_in(user, scope)
    if not roles and not scope.is_unscoped:
        raise refused()
    secret, now = secrets.token_urlsafe(32), timezone.now()
    audit_ids, methods = [secrets.token_urlsafe(16)], [method]
    if parent is not None:
        audit_ids.append(parent.audit_ids[-1])
        methods = sorted({*parent.methods, method})
    token = Token.objects.create(
        hash=hash_of(secret),
        user=user,
        project=scope.project,
        domain=scope.domain,
        is_system=scope.is_system,
        roles=roles,
        methods=methods,
        audit_ids=audit_ids,
        issued_at=now,
        expires_at=parent.expires_at if parent else now + timedelta(hours=settings.TOKEN_HOURS),
    )
    return Issued(secret=secret, token=token)


def _roles_in(user: User, scope: Scope) -> list[dict[str, str]]:
    if scope.is_unscoped:
        return []
    held = RoleAssignment.objects.filter(
        user=user, project=scope.project, domain=scope.domain, is_system=scope.is_system
    )
    return [{"id": a.role_id, "name": a.role.name} for a in held.select_related("role").order_by("role__name")]


def find(secret: str) -> Token | None:
    """The token in force with this secret, its user and project with it, in one query."""
    token = (
        Token.objects.select_related("user", "project")
        .defer("user__password", "user__description", "project__description")
        .filter(hash=hash_of(secret), expires_at__gt=timezone.now(), user__is_enabled=True)
        .first()
    )
    if token is not None and token.project is not None and not token.project.is_enabled:
        return None
    return token


def caller_of(token: Token) -> Caller:
    """Who calls with `token`, as every room sees it."""
    return Caller(
        user_id=token.user_id,
        user_name=token.user.name,
        user_domain_id=str(token.user.domain_id),
        project_id=token.project_id,
        project_name=token.project.name if token.project else None,
        roles=frozenset(role["name"] for role in token.roles),
        token_id=token.hash,
    )


def revoke(
    *,
    users: Sequence[str] = (),
    project: Project | None = None,
    domain: Domain | None = None,
) -> int:
    """Deletes the tokens of these users (ids), of a project, of a domain and all in it. Returns how many."""
    condition = Q(user__in=users)
    if project is not None:
        condition |= Q(project=project)
    if domain is not None:
        condition |= Q(domain=domain) | Q(user__domain=domain) | Q(project__domain=domain)
    # By primary key: a delete that joins is refused by some databases.
    return Token.objects.filter(pk__in=Token.objects.filter(condition).values("pk")).delete()[0]


def purge_expired_tokens(now: datetime | None = None) -> int:
    """Deletes the tokens that are over. Returns how many."""
    expired = Token.objects.filter(expires_at__lte=now or timezone.now())
    return expired.delete()[0] if expired.exists() else 0
