"""Who uses the admin console, as a caller of services."""

from __future__ import annotations

from django.http import HttpRequest

from cloud.api.policy import ADMIN, Caller


def caller_of(request: HttpRequest) -> Caller:
    """The operator who is logged in: an admin, in no project."""
    user = request.user
    return Caller(
        user_id=str(user.pk),
        user_name=user.get_username(),
        user_domain_id="default",
        project_id=None,
        project_name=None,
        roles=frozenset({ADMIN}),
    )
