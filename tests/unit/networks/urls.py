"""This room and the admin console, mounted as `cloud.urls` mounts them."""

from django.contrib import admin
from django.urls import include, path, re_path

urlpatterns = [re_path(r"^networking", include("cloud.networks.api.urls")), path("admin/", admin.site.urls)]
handler404 = "cloud.api.errors.not_found"
handler500 = "cloud.api.errors.server_error"
