"""Every error in the shape of the service that answers, whatever raised it. Nothing a client sends makes a 500."""

from __future__ import annotations

import logging
import sys
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions as drf
from rest_framework.response import Response

from cloud import context
from cloud.errors import CloudError

log = logging.getLogger(__name__)

SERVICES = {
    "/identity": "identity",
    "/compute": "compute",
    "/image": "image",
    "/networking": "network",
    "/volume": "volume",
    "/placement": "placement",
}
_COMPUTE_KEYS = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    406: "computeFault",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    429: "overLimit",
    501: "notImplemented",
    503: "serviceUnavailable",
}
_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    409: "Conflict",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


def service_of(path: str) -> str:
    """The service whose shape an error on `path` has; ours (`/kilonova`, `/healthcheck`) have compute's."""
    return SERVICES.get("/" + path.lstrip("/").split("/", 1)[0], "compute")


def shape(service: str, status: int, code: str, message: str) -> dict[str, Any]:
    """The body of an error as clients of `service` read it."""
    title = _TITLES.get(status, "Error")
    if service == "identity":
        return {"error": {"code": status, "message": message, "title": title}}
    if service == "network":
        return {"NeutronError": {"type": code, "message": message, "detail": ""}}
    if service == "image":
        return {"message": message, "code": f"{status} {title}", "title": title}
    if service == "placement":
        return {"errors": [{"status": status, "title": title, "detail": message, "code": code}]}
    return {_COMPUTE_KEYS.get(status, "computeFault"): {"code": status, "message": message}}


def exception_handler(error: Exception, drf_context: dict[str, Any]) -> Response:
    """DRF's hook: any exception of a view to a response in the wire's shape."""
    service = getattr(drf_context.get("view"), "service", "compute")
    status, code, message, headers = _read(error)
    if status == 503 and not isinstance(error, CloudError):
        log.warning("the database does not answer: %s", error)
    elif status >= 500 and not isinstance(error, CloudError):
        log.error("unhandled error in a view", exc_info=error)
    response = Response(shape(service, status, code, message), status=status)
    for name, value in headers.items():
        response[name] = value
    return response


def _read(error: Exception) -> tuple[int, str, str, dict[str, str]]:
    if isinstance(error, CloudError):
        headers = dict(error.headers)
        if error.status == 401:
            headers.setdefault("WWW-Authenticate", "Keystone")
        return error.status, error.code, error.message, headers
    if isinstance(error, Http404):
        return 404, "request.not_found", str(error) or "The resource could not be found.", {}
    if isinstance(error, PermissionDenied):
        return 403, "policy.forbidden", "Policy does not allow this.", {}
    if isinstance(error, RequestDataTooBig):
        return 413, "request.too_large", "The request body is too large.", {}
    if isinstance(error, SuspiciousOperation):  # a Host header that names no host, more fields than a form may have
        return 400, "request.invalid", str(error)[:200] or "The request is not one that can be served.", {}
    if isinstance(error, (drf.NotAuthenticated, drf.AuthenticationFailed)):
        return 401, "identity.unauthorized", "The request you have made requires authentication.", _CHALLENGE
    if isinstance(error, drf.ParseError):
        return 400, "request.malformed", f"Malformed request body: {error.detail}", {}
    if isinstance(error, drf.APIException):
        return error.status_code, "request.invalid", str(error.detail), {}
    if isinstance(error, (OperationalError, InterfaceError)):  # it is away, restarts, or gave up a lock
        return 503, "cloud.database_away", "The database does not answer now. Try again.", _LATER
    message = f"Unexpected error; the request id is {context.request_id()}. The log of the API has the details."
    return 500, "cloud.unexpected", message, {}


_LATER = {"Retry-After": "5"}
_CHALLENGE = {"WWW-Authenticate": "Keystone"}


def response_for(request: HttpRequest, error: CloudError) -> JsonResponse:
    """A response outside any view (middleware, unknown URL)."""
    body = shape(service_of(request.path), error.status, error.code, error.message)
    return JsonResponse(body, status=error.status, headers=error.headers)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler404: an unknown URL, in the shape of the service it is under."""
    body = shape(service_of(request.path), 404, "request.not_found", f"No such resource: {request.path}")
    return JsonResponse(body, status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500, outside of the wire's views: the admin console, `/metrics`."""
    error = sys.exc_info()[1]
    if isinstance(error, (OperationalError, InterfaceError)):
        status, code, text, headers = _read(error)
        return JsonResponse(shape(service_of(request.path), status, code, text), status=status, headers=headers)
    message = f"Unexpected error; the request id is {context.request_id()}. The log of the API has the details."
    return JsonResponse(shape(service_of(request.path), 500, "cloud.unexpected", message), status=500)
