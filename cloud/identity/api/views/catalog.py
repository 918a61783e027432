"""The catalogue as resources: services, endpoints, the region. Read-only: it follows the settings."""

from __future__ import annotations

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response

from cloud.identity.api import schemas, serializers
from cloud.identity.api.views.discovery import IdentityView
from cloud.identity.catalog import ENDPOINTS, SERVICES
from cloud.identity.selectors import IdentityNotFound


class ServicesView(IdentityView):
    """GET /services."""

    def get(self, request: Request) -> Response:
        query = schemas.query_of(request.query_params)
        found = [s for s in SERVICES if query.get("type", s.type) == s.type and query.get("name", s.name) == s.name]
        return Response(serializers.collection("services", map(serializers.service, found), "services"))


class ServiceView(IdentityView):
    """GET /services/{id}."""

    def get(self, request: Request, service_id: str) -> Response:
        for item in SERVICES:
            if item.id == service_id:
                return Response({"service": serializers.service(item)})
        raise IdentityNotFound(f"Could not find service: {service_id[:80]}.")


class EndpointsView(IdentityView):
    """GET /endpoints."""

    def get(self, request: Request) -> Response:
        query = schemas.query_of(request.query_params)
        found = [
            e
            for e in ENDPOINTS
            if query.get("interface", e.interface) == e.interface
            and query.get("service_id", e.service.id) == e.service.id
            and query.get("region_id", settings.REGION) == settings.REGION
        ]
        return Response(serializers.collection("endpoints", map(serializers.endpoint, found), "endpoints"))


class EndpointView(IdentityView):
    """GET /endpoints/{id}."""

    def get(self, request: Request, endpoint_id: str) -> Response:
        for item in ENDPOINTS:
            if item.id == endpoint_id:
                return Response({"endpoint": serializers.endpoint(item)})
        raise IdentityNotFound(f"Could not find endpoint: {endpoint_id[:80]}.")


class RegionsView(IdentityView):
    """GET /regions."""

    def get(self, request: Request) -> Response:
        return Response(serializers.collection("regions", [serializers.region()], "regions"))


class RegionView(IdentityView):
    """GET /regions/{id}."""

    def get(self, request: Request, region_id: str) -> Response:
        if region_id != settings.REGION:
            raise IdentityNotFound(f"Could not find region: {region_id[:80]}.")
        return Response({"region": serializers.region()})


class EmptyView(IdentityView):
    """A collection that is always empty here (credentials, groups); single ones are not found."""

    key = ""

    def get(self, request: Request) -> Response:
        return Response(serializers.collection(self.key, [], self.key))
