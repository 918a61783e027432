"""Version documents: open to everyone, each with and without a trailing slash."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response

from cloud.api.microversions import MAX, MIN
from cloud.api.views import ComputeView, OpenMixin


def _version(identifier: str) -> dict[str, Any]:
    is_current = identifier == "v2.1"
    path = "v2.1" if is_current else "v2"
    return {
        "id": identifier,
        "status": "CURRENT" if is_current else "SUPPORTED",
        "version": str(MAX) if is_current else "",
        "min_version": str(MIN) if is_current else "",
        "updated": "2013-07-23T11:33:21Z" if is_current else "2011-01-21T11:33:21Z",
        "links": [{"rel": "self", "href": f"{settings.PUBLIC_URL}/compute/{path}/"}],
    }


class VersionsView(OpenMixin, ComputeView):
    """GET /compute: the versions there are."""

    def get(self, request: Request) -> Response:
        return Response({"versions": [_version("v2.0"), _version("v2.1")]})


class VersionView(OpenMixin, ComputeView):
    """GET /compute/v2.1 and /compute/v2: one version."""

    def get(self, request: Request, number: str) -> Response:
        shown = _version("v2.1" if number == "2.1" else "v2.0")
        media = "application/vnd.openstack.compute+json"
        shown["links"].append({"rel": "describedby", "type": "text/html", "href": "http://docs.openstack.org/"})
        shown["media-types"] = [{"base": "application/json", "type": f"{media};version={number}"}]
        return Response({"version": shown})
