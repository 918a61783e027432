"""Version documents: open to everyone; without them every client stops."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from cloud.api.views import OpenMixin, WireView
from cloud.identity.api import serializers


class IdentityView(WireView):
    """A resource of the identity service."""

    service = "identity"


class VersionsView(OpenMixin, IdentityView):
    """GET /identity: the versions there are."""

    def get(self, request: Request) -> Response:
        return Response({"versions": {"values": [serializers.version()]}}, status=300)


class VersionView(OpenMixin, IdentityView):
    """GET /identity/v3."""

    def get(self, request: Request) -> Response:
        return Response({"version": serializers.version()})
