"""The operator's view of the engine: actions with their timeline, hosts, services."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from cloud.workflow.models import Action, ActionEvent, Host, HostQuery, Service
from cloud.workflow.runner import cancel


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that only the engine writes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class EventInline(admin.TabularInline):
    """The timeline of one action: each step, where, how long, what came of it."""

    model = ActionEvent
    verbose_name_plural = "steps"
    extra = 0
    can_delete = False
    fields = readonly_fields = ("turn", "verb", "name", "where", "state", "started_at", "took", "progress", "error")
    ordering = ("turn", "id")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="host")
    def where(self, event: ActionEvent) -> str:
        return event.host or "conductor"

    @admin.display(description="took")
    def took(self, event: ActionEvent) -> str:
        return duration(event)


def duration(event: ActionEvent) -> str:
    """How long a step took, in milliseconds; a dash while it runs."""
    if event.started_at is None or event.finished_at is None:
        return "–"
    return f"{(event.finished_at - event.started_at).total_seconds() * 1000:.0f} ms"


def timeline(actions: QuerySet[Action]) -> str:
    """The events of `actions` as a small table, for pages of targets; "" without actions."""
    rows = SafeString()
    for action in actions.prefetch_related("events"):
        rows += format_html(
            '<tr><th colspan="5">{} · {} · <a href="{}">{}</a> · {}</th></tr>',
            action.operation,
            action.state,
            reverse("admin:workflow_action_change", args=[action.pk]),
            action.request_id or action.pk,
            f"{action.created_at:%Y-%m-%d %H:%M:%S}",  # format_html makes texts of all before it formats
        )
        for event in action.events.all():
            error = (event.error or {}).get("message", "")
            rows += format_html(
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                event.name if event.verb == "do" else f"{event.verb} {event.name}",
                event.host or "conductor",
                event.state,
                duration(event),
                error,
            )
    if not rows:
        return ""
    head = "<tr><th>step</th><th>host</th><th>state</th><th>took</th><th>error</th></tr>"
    return format_html("<table>" + head + "{}</table>", rows)


@admin.register(Action)
class ActionAdmin(ReadOnlyAdmin):
    """Actions, newest first."""

    list_display = ("created_at", "operation", "target_id", "state", "turn", "attempts", "request_id", "finished_at")
    list_filter = ("state", "operation")
    search_fields = ("=target_id", "request_id", "project_id")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    inlines = (EventInline,)
    actions = ("cancel_actions",)
    list_per_page = 50
    show_full_result_count = False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [field.name for field in Action._meta.fields if field.name != "leg"]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_staff  # type: ignore[union-attr]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Only a superuser cancels here; other staff may look."""
        return bool(request.user.is_superuser)

    @admin.action(description="Cancel the chosen actions", permissions=["operate"])
    def cancel_actions(self, request: HttpRequest, chosen: QuerySet[Action]) -> None:
        asked = sum(cancel(action.pk) for action in chosen)
        self.message_user(request, f"{asked} live actions were asked to end; their steps are undone.")


@admin.register(Service)
class ServiceAdmin(admin.ModelAdmin):
    """Roles and machines; a compute service may be disabled here."""

    list_display = ("binary", "host", "up", "is_disabled", "disabled_reason", "last_seen_at")
    list_filter = ("binary", "is_disabled")
    search_fields = ("host",)
    readonly_fields = ("uuid", "binary", "host", "last_seen_at", "created_at")

    @admin.display(boolean=True, description="up")
    def up(self, service: Service) -> bool:
        return service.is_up

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(Host)
class HostAdmin(admin.ModelAdmin):
    """Compute hosts as the engine knows them. Enrol with `manage.py enroll_host`."""

    list_display = ("name", "is_up", "generation", "key_serial")
    list_filter = ("is_up",)
    search_fields = ("name",)
    readonly_fields = ("name", "service", "is_up", "generation", "hello", "hello_at", "key_serial")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(HostQuery)
class HostQueryAdmin(ReadOnlyAdmin):
    """Questions to hosts of the last minutes."""

    list_display = ("created_at", "host", "name", "answered_at")
