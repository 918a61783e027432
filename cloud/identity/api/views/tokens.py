"""Tokens and what one's own token opens: POST, GET, HEAD, DELETE /auth/tokens and GET /auth/…"""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from cloud.api.schemas import validate
from cloud.errors import BadRequest
from cloud.identity import login, selectors, tokens
from cloud.identity.api import schemas, serializers
from cloud.identity.api.views.discovery import IdentityView
from cloud.identity.models import RoleAssignment, Token


class TokensView(IdentityView):
    """Asking for a token needs none; reading and ending one does."""

    def get_authenticators(self) -> Any:
        return [] if self.request.method == "POST" else super().get_authenticators()

    def get_permissions(self) -> Any:
        return [AllowAny()] if self.request.method == "POST" else super().get_permissions()

    def post(self, request: Request) -> Response:
        auth = validate(schemas.AUTH, request.data)["auth"]
        issued = _log_in(auth["identity"], auth.get("scope"))
        with_catalog = not schemas.flag(schemas.query_of(request.query_params), "nocatalog")
        body = {"token": serializers.token(issued.token, with_catalog=with_catalog)}
        return Response(body, status=201, headers={"X-Subject-Token": issued.secret, "Vary": "X-Auth-Token"})

    def get(self, request: Request) -> Response:
        secret, subject = self._subject(request)
        with_catalog = not schemas.flag(schemas.query_of(request.query_params), "nocatalog")
        body = {"token": serializers.token(subject, with_catalog=with_catalog)}
        return Response(body, headers={"X-Subject-Token": secret, "Vary": "X-Auth-Token"})

    def head(self, request: Request) -> Response:
        secret, _ = self._subject(request)
        return Response(None, headers={"X-Subject-Token": secret, "Vary": "X-Auth-Token"})

    def delete(self, request: Request) -> Response:
        _, subject = self._subject(request)
        subject.delete()
        return Response(status=204)

    def _subject(self, request: Request) -> tuple[str, Token]:
        """The token that X-Subject-Token names: one of the caller's own, or any for an admin; else not found."""
        secret = request.headers.get("X-Subject-Token", "")
        if not secret:
            raise BadRequest("The header X-Subject-Token is missing: it names the token to look at.")
        token = tokens.find(secret)
        if token is None or not (self.caller.is_admin or token.user_id == self.caller.user_id):
            raise selectors.IdentityNotFound("Could not find token.")
        return secret, token


def _log_in(identity: dict[str, Any], scope: Any) -> tokens.Issued:
    """By the one method that the request names."""
    methods = identity["methods"]
    if methods == ["password"]:
        return login.by_password(user=_details(identity, "password")["user"], scope=scope)
    if methods == ["token"]:
        return login.by_token(secret=_details(identity, "token")["id"], scope=scope)
    raise tokens.refused()


def _details(identity: dict[str, Any], method: str) -> dict[str, Any]:
    details: dict[str, Any] | None = identity.get(method)
    if details is None:
        raise BadRequest(
            f"Invalid input for field/attribute auth/identity: the method {method!r} needs the key {method!r}."
        )
    return details


class CatalogView(IdentityView):
    """GET /auth/catalog."""

    def get(self, request: Request) -> Response:
        return Response(serializers.collection("catalog", serializers.catalog(), "auth/catalog"))


class OwnProjectsView(IdentityView):
    """GET /auth/projects: what the caller can ask for a token for."""

    def get(self, request: Request) -> Response:
        rows = selectors.projects_of(self.caller.user_id).filter(is_enabled=True)
        return Response(serializers.collection("projects", map(serializers.project, rows), "auth/projects"))


class OwnDomainsView(IdentityView):
    """GET /auth/domains."""

    def get(self, request: Request) -> Response:
        rows = selectors.domains_of(self.caller.user_id).filter(is_enabled=True)
        return Response(serializers.collection("domains", map(serializers.domain, rows), "auth/domains"))


class OwnSystemView(IdentityView):
    """GET /auth/system: `all`, for who holds a role in the system."""

    def get(self, request: Request) -> Response:
        is_held = RoleAssignment.objects.filter(user=self.caller.user_id, is_system=True).exists()
        return Response(serializers.collection("system", [{"all": True}] if is_held else [], "auth/system"))
