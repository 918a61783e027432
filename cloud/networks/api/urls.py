"""Addresses of this room, mounted under `/networking`: each with and without a trailing slash, no redirects."""

from __future__ import annotations

from django.urls import re_path

from cloud.networks.api import unserved, views

urlpatterns = [
    re_path(r"^/?$", unserved.Versions.as_view()),
    re_path(r"^/v2\.0/?$", unserved.Resources.as_view()),
    re_path(r"^/v2\.0/extensions/?$", unserved.Extensions.as_view()),
    re_path(r"^/v2\.0/extensions/(?P<alias>[^/]+)/?$", unserved.OneExtension.as_view()),
    re_path(r"^/v2\.0/networks/?$", views.Networks.as_view()),
    re_path(r"^/v2\.0/networks/(?P<network_id>[^/]+)/?$", views.OneNetwork.as_view()),
    re_path(r"^/v2\.0/subnets/?$", views.Subnets.as_view()),
    re_path(r"^/v2\.0/subnets/(?P<subnet_id>[^/]+)/?$", views.OneSubnet.as_view()),
    re_path(r"^/v2\.0/ports/?$", views.Ports.as_view()),
    re_path(r"^/v2\.0/ports/(?P<port_id>[^/]+)/?$", views.OnePort.as_view()),
    re_path(r"^/v2\.0/security-groups/?$", unserved.SecurityGroups.as_view()),
    re_path(r"^/v2\.0/security-groups/(?P<group_id>[^/]+)/?$", unserved.OneSecurityGroup.as_view()),
    re_path(r"^/v2\.0/security-group-rules/?$", unserved.SecurityGroupRules.as_view()),
    re_path(r"^/v2\.0/floatingips/?$", unserved.Empty.as_view(plural="floatingips")),
    re_path(r"^/v2\.0/floatingips/(?P<item_id>[^/]+)/?$", unserved.NoneSuch.as_view(plural="floatingips")),
    re_path(r"^/v2\.0/routers/?$", unserved.Empty.as_view(plural="routers")),
    re_path(r"^/v2\.0/routers/(?P<item_id>[^/]+)/?$", unserved.NoneSuch.as_view(plural="routers")),
    re_path(r"^/v2\.0/quotas/(?P<project_id>[^/]+)/?$", unserved.Quotas.as_view()),
    re_path(r"^/v2\.0/quotas/(?P<project_id>[^/]+)/default/?$", unserved.Quotas.as_view()),
    re_path(r"^/v2\.0/quotas/(?P<project_id>[^/]+)/details(?:\.json)?/?$", unserved.QuotaDetails.as_view()),
]
