"""The admin console's login: by the name of a user of the default domain."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend


class DefaultDomainBackend(ModelBackend):
    """Django's own, with names found in the default domain (`UserManager.get_by_natural_key`)."""

    def user_can_authenticate(self, user: Any) -> bool:
        """Enabled, and in an enabled domain."""
        return super().user_can_authenticate(user) and (user is None or user.domain.is_enabled)
