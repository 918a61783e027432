"""A client that speaks to the API as OpenStack's clients do, with a token."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.test import Client

TOKENS = "/identity/v3/auth/tokens"


def credentials(
    name: str, password: str, *, project: str | None = None, domain: str = "default", scope: Any = None
) -> dict[str, Any]:
    """The body that asks for a token with a password."""
    user = {"name": name, "domain": {"id": domain}, "password": password}
    auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": user}}}
    if project is not None:
        scope = {"project": {"name": project, "domain": {"id": domain}}}
    if scope is not None:
        auth["scope"] = scope
    return {"auth": auth}


@dataclass
class Wire:
    """One person's client; without a token when `token` is empty."""

    token: str = ""

    @classmethod
    def logged_in(cls, name: str, password: str, **scope: Any) -> Wire:
        reply = cls().post(TOKENS, credentials(name, password, **scope))
        assert reply.status_code == 201, reply.content
        return cls(token=reply["X-Subject-Token"])

    def request(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", **headers: str
    ) -> HttpResponse:
        sent = {"X-Auth-Token": self.token} if self.token else {}
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return Client(raise_request_exception=False).generic(
            method, path, data, content_type=content_type, headers={**sent, **headers}, CONTENT_TYPE=content_type
        )

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self.request("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        return self.request("POST", path, body, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        return self.request("PUT", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        return self.request("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> HttpResponse:
        return self.request("DELETE", path, **headers)

    def head(self, path: str, **headers: str) -> HttpResponse:
        return self.request("HEAD", path, **headers)
