"""Addresses of the placement API, mounted under `/placement`: with and without a trailing slash."""

from __future__ import annotations

from django.urls import re_path

from scheduling.api import placement

_ONE = r"^/resource_providers/(?P<provider_id>[^/]+)"

urlpatterns = [
    re_path(r"^/?$", placement.Versions.as_view()),
    re_path(r"^/resource_providers/?$", placement.Providers.as_view()),
    re_path(rf"{_ONE}/?$", placement.OneProvider.as_view()),
    re_path(rf"{_ONE}/inventories/?$", placement.Inventories.as_view()),
    re_path(rf"{_ONE}/usages/?$", placement.Usages.as_view()),
    re_path(rf"{_ONE}/allocations/?$", placement.ProviderAllocations.as_view()),
    re_path(rf"{_ONE}/traits/?$", placement.ProviderTraits.as_view()),
    re_path(rf"{_ONE}/aggregates/?$", placement.ProviderAggregates.as_view()),
    re_path(r"^/allocations/(?P<consumer_id>[^/]+)/?$", placement.ConsumerAllocations.as_view()),
]
placement_urlpatterns = urlpatterns
