"""What beat lets conductors repeat for this room: name and function; each may run twice and at any time."""

from __future__ import annotations

from cloud.identity.tokens import purge_expired_tokens

SWEEPS = (("identity.purge_tokens", purge_expired_tokens),)
