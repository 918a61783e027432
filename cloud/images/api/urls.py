"""The image service's addresses, relative to `/image`; each with and without a trailing slash, without redirects.

An id is whatever has no slash and no control character: names are tried as ids by clients, and must end in 404.
"""

from __future__ import annotations

from django.urls import re_path

from cloud.images.api import views
from cloud.images.api.file_view import FileView


def _id(name: str) -> str:
    return rf"(?P<{name}>[^/\x00-\x1f\x7f]+)"


_IMAGE = rf"^/v2/images/{_id('image_id')}"

urlpatterns = [
    re_path(r"^/?$", views.VersionsView.as_view()),
    re_path(r"^/versions/?$", views.VersionsView.as_view()),
    re_path(r"^/v2/?$", views.VersionsView.as_view()),
    re_path(rf"^/v2/schemas/{_id('name')}/?$", views.SchemaView.as_view()),
    re_path(r"^/v2/images/?$", views.ImagesView.as_view()),
    re_path(rf"{_IMAGE}/?$", views.OneImageView.as_view()),
    re_path(rf"{_IMAGE}/file/?$", FileView.as_view()),
    re_path(rf"{_IMAGE}/tasks/?$", views.TasksView.as_view()),
    re_path(rf"{_IMAGE}/tags/{_id('tag')}/?$", views.TagView.as_view()),
    re_path(rf"{_IMAGE}/members/?$", views.MembersView.as_view()),
    re_path(rf"{_IMAGE}/members/{_id('member_id')}/?$", views.MemberView.as_view()),
]
