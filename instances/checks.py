"""The check at start: a policy for unexpected guests that is none stops the process, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import Error, register

from instances.expectations import Policy


@register()
def check_policies(app_configs: Sequence[Any] | None = None, **kwargs: Any) -> list[Error]:
    """One error when UNEXPECTED_GUEST_POLICY cannot be followed."""
    if settings.UNEXPECTED_GUEST_POLICY in set(Policy):
        return []
    message = f"UNEXPECTED_GUEST_POLICY is {settings.UNEXPECTED_GUEST_POLICY!r}"
    return [Error(message, hint=f"It is one of: {', '.join(Policy)}.", id="instances.E001")]
