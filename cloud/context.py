"""What every log line of the work in hand carries: request id, action, instance, host. Bound once, read everywhere."""

from __future__ import annotations

import uuid
from contextlib import AbstractContextManager

from structlog.contextvars import bound_contextvars, get_contextvars


def new_request_id() -> str:
    """A fresh id in OpenStack's form, `req-<uuid4>`."""
    return f"req-{uuid.uuid4()}"


def current() -> dict[str, str]:
    """The values bound for the work in hand."""
    return get_contextvars()


def request_id() -> str:
    """The request id in force, or `-` outside any request."""
    return str(current().get("request_id", "-"))


def bound(**values: str | None) -> AbstractContextManager[None]:
    """Adds `values` (those that are not None) to the context for the length of the block."""
    return bound_contextvars(**{k: v for k, v in values.items() if v is not None})
