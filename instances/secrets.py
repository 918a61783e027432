"""A secret that a request brings and its action needs later: sealed while the action lives, gone when it ended.

The key is made of SECRET_KEY, which conductors and API have and hosts do not.
"""

from __future__ import annotations

import base64
import hashlib

from cryptography.fernet import Fernet
from django.conf import settings

from cloud.workflow.models import Action

PASSWORD = "sealed_password"  # its name among an action's parameters


def seal(text: str) -> str:
    """`text`, readable with this cloud's key alone."""
    return _box().encrypt(text.encode()).decode()


def password_of(action: Action) -> str | None:
    """The administrator's password that the request gave the guest; None without one."""
    sealed = action.parameters.get(PASSWORD)
    return _box().decrypt(sealed.encode()).decode() if sealed else None


def forget_password(action: Action) -> None:
    """After it the action does not hold the password any more. Called when it ends."""
    if PASSWORD in action.parameters:
        action.parameters = {name: value for name, value in action.parameters.items() if name != PASSWORD}
        Action.objects.filter(pk=action.pk).update(parameters=action.parameters)


def _box() -> Fernet:
    key = hashlib.sha256(b"kilonova sealed secrets\0" + settings.SECRET_KEY.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(key))
