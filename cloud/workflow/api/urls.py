"""The engine's own addresses, relative to `/kilonova/v1`; each with and without a trailing slash."""

from __future__ import annotations

from django.urls import re_path

from cloud.workflow.api import views


def _id(name: str) -> str:
    return rf"(?P<{name}>[^/\x00-\x1f\x7f]+)"


_ACTION = rf"^/actions/{_id('action_id')}"

urlpatterns = [
    re_path(r"^/actions/?$", views.ActionsView.as_view()),
    re_path(rf"{_ACTION}/?$", views.ActionView.as_view()),
    re_path(rf"{_ACTION}/cancel/?$", views.CancelView.as_view()),
    re_path(rf"{_ACTION}/retry/?$", views.RetryView.as_view()),
    re_path(rf"{_ACTION}/give-up/?$", views.GiveUpView.as_view()),
    re_path(rf"^/hosts/{_id('name')}/fence/?$", views.FenceView.as_view()),
]
