"""Around every request: its id on every log line and reply, and the limit on JSON bodies."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from cloud import context
from cloud.api.errors import response_for
from cloud.errors import TooLarge

MAX_JSON_BYTES = 112 * 1024
_REQUEST_ID = re.compile(r"^req-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")


class RequestContext:
    """Gives each request an id, binds it to the log context, and answers with it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = context.new_request_id()
        caller_id = request.headers.get("X-Openstack-Request-Id", "")
        global_id = caller_id if _REQUEST_ID.match(caller_id) else None
        with context.bound(request_id=request_id, global_request_id=global_id):
            response = self._limited(request)
        response["X-Openstack-Request-Id"] = request_id
        response["X-Compute-Request-Id"] = request_id
        return response

    def _limited(self, request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        is_upload = request.content_type == "application/octet-stream"
        if (
            not is_upload
            and length.isdecimal()
            and int(length) > MAX_JSON_BYTES
            and not request.path.startswith("/admin")
        ):
            return response_for(
                request, TooLarge(f"The request body has {length} bytes; at most {MAX_JSON_BYTES} are taken.")
            )
        return self.get_response(request)
