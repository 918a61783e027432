"""Addresses of this room in the compute API, mounted under `/compute/v2.1`: with and without a trailing slash."""

from __future__ import annotations

from django.urls import re_path

from scheduling.api import hypervisors, views

urlpatterns = [
    re_path(r"^/os-hypervisors/?$", hypervisors.Hypervisors.as_view()),
    re_path(r"^/os-hypervisors/detail/?$", hypervisors.Hypervisors.as_view(is_detailed=True)),
    re_path(r"^/os-hypervisors/statistics/?$", hypervisors.Statistics.as_view()),
    re_path(r"^/os-hypervisors/(?P<hypervisor_id>[^/]+)/?$", hypervisors.OneHypervisor.as_view()),
    re_path(r"^/os-hypervisors/(?P<hypervisor_id>[^/]+)/uptime/?$", hypervisors.Uptime.as_view()),
    re_path(r"^/os-hypervisors/(?P<pattern>[^/]+)/search/?$", hypervisors.Search.as_view()),
    re_path(r"^/os-hypervisors/(?P<pattern>[^/]+)/servers/?$", hypervisors.Search.as_view(has_servers=True)),
    re_path(r"^/os-hosts/?$", hypervisors.Hosts.as_view()),
    re_path(r"^/os-hosts/(?P<host>[^/]+)/?$", hypervisors.OneHost.as_view()),
    re_path(r"^/os-services/?$", views.Services.as_view()),
    re_path(r"^/os-services/(?P<service_id>[^/]+)/?$", views.OneService.as_view()),
    re_path(r"^/os-availability-zone/?$", views.Zones.as_view()),
    re_path(r"^/os-availability-zone/detail/?$", views.ZonesDetailed.as_view()),
    re_path(r"^/os-aggregates/?$", views.Aggregates.as_view()),
]
