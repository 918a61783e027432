"""The errors of the whole cloud: a stable code, an HTTP status, a message a person can act on.

Django-free, so that compute hosts raise the same errors. Each concrete error stands beside the code that raises it;
this module holds the families and the three types that say what the engine does next.
"""

from __future__ import annotations

from typing import Any, ClassVar


class CloudError(Exception):
    """An error with a stable dotted `code`, an HTTP `status` and a message that says what was wrong and what to do.

    `context` holds JSON values (field names, ids, needed and available amounts) that clients and logs may show.
    """

    code: ClassVar[str] = "cloud.error"
    status: ClassVar[int] = 500
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, message: str, **context: Any) -> None:
        super().__init__(message)
        self.message = message
        self.context = context


class BadRequest(CloudError):
    """The request cannot be understood or names what does not exist; nothing was changed."""

    code, status = "request.invalid", 400


class Unauthorized(CloudError):
    """No token, or one that is unknown or expired."""

    code, status = "identity.unauthorized", 401


class Forbidden(CloudError):
    """The caller is known and may not do this."""

    code, status = "policy.forbidden", 403


class QuotaExceeded(Forbidden):
    """The request would take the project over its quota."""

    code = "quota.exceeded"


class NotFound(CloudError):
    """No such object, or none that the caller may see."""

    code, status = "request.not_found", 404


class MethodNotAllowed(CloudError):
    """The resource exists and does not take this method."""

    code, status = "request.method_not_allowed", 405


class NotAcceptable(CloudError):
    """No representation in the version that was asked for."""

    code, status = "request.not_acceptable", 406


class Conflict(CloudError):
    """The object's state forbids this now, or the name is taken."""

    code, status = "request.conflict", 409


class TooLarge(CloudError):
    """The body is larger than the limit."""

    code, status = "request.too_large", 413


class UnsupportedMediaType(CloudError):
    """The body's media type is none that the handler reads."""

    code, status = "request.unsupported_media_type", 415


class Unavailable(CloudError):
    """A part that is needed does not answer; the same request may go through later."""

    code, status = "cloud.unavailable", 503


class StepError(CloudError):
    """A step of an operation failed. Its subtype is what the engine does next."""

    code, status = "step.failed", 500
    next: ClassVar[str] = "abort"


class Retry(StepError):
    """The same step may succeed on the same host: give it out again, within its attempts."""

    code = "step.retry"
    next = "retry"


class Reschedule(StepError):
    """Another host may succeed: unwind, exclude this host, try again, within the operation's attempts."""

    code = "step.reschedule"
    next = "reschedule"


class Abort(StepError):
    """No host can succeed: unwind and end the action as FAILED."""

    code = "step.abort"
    next = "abort"


def describe(error: CloudError) -> dict[str, Any]:
    """The error as JSON for logs, action events and faults."""
    shown: dict[str, Any] = {"code": error.code, "message": error.message}
    if isinstance(error, StepError):
        shown["next"] = error.next
    if error.context:
        shown["context"] = error.context
    return shown
