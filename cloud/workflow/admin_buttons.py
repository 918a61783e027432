"""Buttons on the pages of the operator's console: each posts, acts through a service, and says what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse

from cloud.errors import CloudError


@dataclass(frozen=True)
class Button:
    """One button: `is_shown` for which rows, `act` what it does (gives a sentence, raises CloudError)."""

    name: str
    label: str
    title: str
    is_shown: Callable[[Any], bool]
    act: Callable[[HttpRequest, Any], str]


class WithButtons(admin.ModelAdmin):
    """A page with buttons above its fields, for those whom `has_operate_permission` lets."""

    change_form_template = "admin/workflow/with_buttons.html"
    buttons: ClassVar[tuple[Button, ...]] = ()

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whether the user may press them."""
        raise NotImplementedError

    def page_of(self, row: Any) -> dict[str, Any]:
        """What the template of this page needs besides."""
        return {}

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                f"<path:object_id>/{button.name}/",
                self.admin_site.admin_view(partial(self._press, button)),
                name=self._url_name(button),
            )
            for button in self.buttons
        ]
        return [*own, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        more: dict[str, Any] = {}
        if row is not None and request.method == "GET" and self.has_view_permission(request, row):
            more = self.page_of(row)
            if self.has_operate_permission(request):
                more["buttons"] = [
                    {
                        "url": reverse(f"admin:{self._url_name(button)}", args=[row.pk]),
                        "label": button.label,
                        "title": button.title,
                    }
                    for button in self.buttons
                    if button.is_shown(row)
                ]
        return super().change_view(request, object_id, form_url, {**more, **(extra_context or {})})

    def _url_name(self, button: Button) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{button.name}"

    def _press(self, button: Button, request: HttpRequest, object_id: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_operate_permission(request):
            raise PermissionDenied
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        try:
            said, level = button.act(request, row), messages.SUCCESS
        except CloudError as error:
            said, level = error.message, messages.ERROR
        self.message_user(request, said, level)
        return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", row.pk)
