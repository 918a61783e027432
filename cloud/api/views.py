"""The base of every view on the wire: authenticate, read JSON, call one service, answer.

A subclass names its `service` (the shape of errors); compute's also negotiate a microversion, found in
`request.microversion`. The caller is `request.user`, a `cloud.api.policy.Caller`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import orjson
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.permissions import AllowAny
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cloud.api import microversions
from cloud.api.policy import Caller
from cloud.errors import MethodNotAllowed


class JsonRenderer(BaseRenderer):
    """JSON by orjson: datetimes and UUIDs included."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return b"" if data is None else orjson.dumps(data)


class JsonParser(BaseParser):
    """A JSON object; clients of the wire send `application/json`."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        raw = stream.read()
        try:
            return orjson.loads(raw) if raw else {}
        except (orjson.JSONDecodeError, RecursionError) as error:
            raise ParseError(str(error)) from None


class WireView(APIView):
    """One resource of one service."""

    service: ClassVar[str] = "compute"
    parser_classes: tuple[type[BaseParser], ...] = (JsonParser,)
    renderer_classes = (JsonRenderer,)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """JSON whatever `Accept` says, as OpenStack services do."""
        return JsonRenderer(), JsonRenderer.media_type

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.negotiate(request)
        super().initial(request, *args, **kwargs)

    def negotiate(self, request: Request) -> None:
        """Nothing, except for compute."""

    def http_method_not_allowed(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        raise MethodNotAllowed(f"{request.method} is not allowed on {request.path}.")

    @property
    def caller(self) -> Caller:
        """Who calls."""
        caller: Caller = self.request.user  # type: ignore[assignment]
        return caller


class ComputeView(WireView):
    """A resource of the compute service, with its microversion in `self.version`."""

    service = "compute"
    version: microversions.Microversion = microversions.MIN

    def negotiate(self, request: Request) -> None:
        self.version = microversions.requested(request)
        handler = getattr(self, (request.method or "get").lower(), None)
        if handler is not None:
            microversions.check_served(handler, self.version)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response["OpenStack-API-Version"] = f"compute {self.version}"
        response["X-OpenStack-Nova-API-Version"] = str(self.version)
        response["Vary"] = "OpenStack-API-Version, X-OpenStack-Nova-API-Version"
        return response


class OpenMixin:
    """Mixed into a view that needs no token (version documents, asking for a token)."""

    authentication_classes: Sequence[Any] = ()
    permission_classes: Sequence[Any] = (AllowAny,)
