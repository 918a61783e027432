"""Every address of the API: each room serves its own part under the prefix of its OpenStack service."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from cloud.workflow.api.health import healthcheck, metrics
from instances.doctor.console import doctor_page

admin.site.site_header = admin.site.site_title = "Kilonova"
admin.site.index_title = "Operator's console"
admin.site.index_template = "doctor/index.html"  # the console's own, and a way to the doctor
admin.site.site_url = None  # there is no other site to view

urlpatterns = [
    re_path(r"^identity", include("cloud.identity.api.urls")),
    re_path(r"^image", include("cloud.images.api.urls")),
    re_path(r"^networking", include("cloud.networks.api.urls")),
    re_path(r"^compute/v2(?:\.1)?", include("scheduling.api.urls")),
    re_path(r"^compute", include("instances.api.urls")),
    re_path(r"^placement", include("scheduling.api.placement_urls")),
    path("admin/doctor/", admin.site.admin_view(doctor_page), name="doctor"),
    path("admin/", admin.site.urls),
    path("healthcheck", healthcheck),
    path("metrics", metrics),
    re_path(r"^kilonova/v1", include("cloud.workflow.api.urls")),
    path("kilonova/v1/schema", SpectacularAPIView.as_view(), name="schema"),
    path("kilonova/v1/docs", SpectacularSwaggerView.as_view(url_name="schema", http_method_names=["get", "head"])),
]
handler404 = "cloud.api.errors.not_found"
handler500 = "cloud.api.errors.server_error"
