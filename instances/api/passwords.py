"""Passwords that the API makes for guests when a request gives none."""

from __future__ import annotations

import secrets
import string

_ALPHABET = "".join(set(string.ascii_letters + string.digits) - set("0O1lI"))
_LENGTH = 12


def new_password() -> str:
    """A password that can be read aloud: no letter that looks like a digit."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
