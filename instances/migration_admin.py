"""The operator's console for migrations: where they are, how far, and buttons for those that are on their way."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from cloud.errors import CloudError
from cloud.workflow.admin import ReadOnlyAdmin, timeline
from cloud.workflow.models import Action
from instances.migration_progress import progress_of
from instances.models import Migration
from instances.operators import caller_of
from instances.services import abort_live_migration, force_live_migration

_MIB = 1024**2


class MigrationAdmin(ReadOnlyAdmin):
    """Migrations; what is done to them goes through the same services as the API."""

    list_display = ("id", "instance", "type", "status", "progress", "source_host", "destination_host", "created_at")
    list_filter = ("type", "status", "source_host", "destination_host")
    list_select_related = ("instance",)
    search_fields = ("=uuid", "=instance__id", "source_host", "destination_host")
    date_hierarchy = "created_at"
    actions = ("abort", "force_complete")
    readonly_fields = ("progress", "timeline")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_staff  # type: ignore[union-attr]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """They act as an admin of the cloud, so only a superuser has them here; other staff may look."""
        return bool(request.user.is_superuser)

    @admin.display(description="progress")
    def progress(self, migration: Migration) -> str:
        """How far its guest is, as its host said last."""
        said = progress_of([migration.action_id]).get(migration.action_id)
        if not said:
            return "–"
        details = said.get("details") or {}
        left = (details.get("memory_remaining_bytes", 0) + details.get("disk_remaining_bytes", 0)) // _MIB
        percent = said.get("percent")
        return f"{percent} %, {left} MiB to go" if percent is not None else str(said.get("message") or "–")

    @admin.display(description="action, its steps, and what was asked of it")
    def timeline(self, migration: Migration) -> str:
        """The migration's action and those that steered it."""
        steered = Action.objects.filter(parent=migration.action_id)
        return timeline((Action.objects.filter(pk=migration.action_id) | steered).order_by("created_at")) or "–"

    @admin.action(description="Abort the chosen live migrations", permissions=["operate"])
    def abort(self, request: HttpRequest, chosen: QuerySet[Migration]) -> None:
        """Aborts through the service, as the operator."""
        self._each(request, chosen, abort_live_migration, "aborting")

    @admin.action(description="Force the chosen live migrations to complete", permissions=["operate"])
    def force_complete(self, request: HttpRequest, chosen: QuerySet[Migration]) -> None:
        """Forces through the service, as the operator."""
        self._each(request, chosen, force_live_migration, "completing")

    def _each(self, request: HttpRequest, chosen: QuerySet[Migration], service: Any, doing: str) -> None:
        caller = caller_of(request)
        for migration in chosen:
            try:
                service(caller=caller, migration=migration)
            except CloudError as error:
                self.message_user(request, f"{migration}: {error.message}", messages.ERROR)
            else:
                self.message_user(request, f"{migration}: {doing}")
