"""The operator's view of the engine: actions with their timeline, hosts, services."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from cloud.errors import CloudError
from cloud.workflow import fencing, interventions, stuck
from cloud.workflow.admin_buttons import Button, WithButtons
from cloud.workflow.models import Action, ActionEvent, Host, HostQuery, Service, Watch
from cloud.workflow.services import confirm_fenced
from cloud.workflow.states import ActionState


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


def _cancel(request: HttpRequest, action: Action) -> str:
    interventions.cancel_action(action.pk)
    return "It was asked to end; its steps are undone."


def _try_again(request: HttpRequest, action: Action) -> str:
    interventions.try_again(action.pk)
    return "It goes on from where it is, with fresh attempts and time."


def _give_up(request: HttpRequest, action: Action) -> str:
    interventions.give_up(action.pk, by=f"operator {request.user}")
    return "It is marked as failed. What it left is removed when its target is deleted."


@admin.register(Action)
class ActionAdmin(WithButtons, ReadOnlyAdmin):
    """Actions, newest first. The page of a STUCK one has all that a person needs to decide."""

    change_form_template = "admin/workflow/action.html"
    buttons = (
        Button(
            "cancel",
            "Cancel",
            "It is undone, unless it is past its point of no return",
            lambda action: interventions.why_not_cancellable(action) is None and not action.cancel_requested,
            _cancel,
        ),
        Button(
            "try-again",
            "Try again",
            "Forward or back from where it is, with fresh attempts and time",
            lambda action: action.state == ActionState.STUCK,
            _try_again,
        ),
        Button(
            "give-up",
            "Give up: mark as failed",
            "Nothing of it is undone",
            lambda action: action.state == ActionState.STUCK,
            _give_up,
        ),
    )

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

    def page_of(self, row: Action) -> dict[str, Any]:
        return {"stuck": stuck.page(row)} if row.state == ActionState.STUCK else {}

    @admin.action(description="Cancel the chosen actions", permissions=["operate"])
    def cancel_actions(self, request: HttpRequest, chosen: QuerySet[Action]) -> None:
        asked = 0
        for action in chosen:
            try:
                interventions.cancel_action(action.pk)
                asked += 1
            except CloudError as error:
                self.message_user(request, error.message, messages.ERROR)
        self.message_user(request, f"{asked} actions were asked to end; their steps are undone.")


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


def _fence(request: HttpRequest, host: Host) -> str:
    fencing.ask(host)
    return "A conductor runs its fence command now; load this page again to see what came of it."


def _confirm_fenced(request: HttpRequest, host: Host) -> str:
    confirm_fenced(host)
    return "It is noted that the machine is off."


@admin.register(Host)
class HostAdmin(WithButtons, admin.ModelAdmin):
    """Compute hosts as the engine knows them. Enrol with `manage.py enroll_host`."""

    buttons = (
        Button(
            "fence",
            "Fence: run its command",
            "The machine is switched off by its fence command",
            lambda host: not host.is_up and bool(host.fence_command),
            _fence,
        ),
        Button(
            "confirm-fenced",
            "I have made sure that it is off",
            "What waits for the host goes on as if nothing ran there any more",
            lambda host: not host.is_up and not host.is_fenced,
            _confirm_fenced,
        ),
    )
    list_display = ("name", "is_up", "is_fenced", "generation", "key_serial")
    list_filter = ("is_up", "is_fenced")
    search_fields = ("name",)
    readonly_fields = (
        *("name", "service", "is_up", "generation", "hello", "hello_at", "key_serial"),
        *("is_fenced", "fence_asked_at", "fence_began_at", "fence_said"),
    )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The fence command may hold a password, and conductors run it: for superusers alone."""
        shown = [field.name for field in Host._meta.fields]
        return shown if request.user.is_superuser else [name for name in shown if name != "fence_command"]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Only a superuser fences; other staff may look."""
        return bool(request.user.is_superuser)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(Watch)
class WatchAdmin(ReadOnlyAdmin):
    """Since when somebody listens to hosts without a break."""

    list_display = ("name", "looked_at", "since")


@admin.register(HostQuery)
class HostQueryAdmin(ReadOnlyAdmin):
    """Questions to hosts of the last minutes."""

    list_display = ("created_at", "host", "name", "answered_at")
