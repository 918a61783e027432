"""The operator's console for instances: state, place, faults, the timeline of every action, and the verbs."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from cloud.workflow.admin import ReadOnlyAdmin, timeline
from cloud.workflow.models import Action
from instances.admin_verbs import verb_actions
from instances.migration_admin import MigrationAdmin
from instances.models import Fault, Flavor, FlavorAccess, Instance, KeyPair, Migration, Quota, QuotaClass
from instances.states import PowerState


class FaultInline(admin.TabularInline):
    """Why it failed, newest first."""

    model = Fault
    extra = 0
    can_delete = False
    fields = readonly_fields = ("created_at", "code", "message", "details")
    ordering = ("-created_at",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Instance)
class InstanceAdmin(ReadOnlyAdmin):
    """Instances; verbs go through the same services as the API."""

    list_display = ("display_name", "id", "status", "task_state", "power", "host", "flavor_name", "created")
    list_filter = ("vm_state", "task_state", "host", "availability_zone")
    search_fields = ("=id", "display_name", "=project_id", "host")
    date_hierarchy = "created_at"
    inlines = (FaultInline,)
    actions = verb_actions()
    list_per_page = 50
    show_full_result_count = False
    fieldsets = (
        (None, {"fields": ("id", "display_name", "status", "vm_state", "task_state", "power")}),
        ("Timeline", {"fields": ("timeline",)}),
        ("Place", {"fields": ("host", "availability_zone", "requested_zone", "forced_host", "requested_networks")}),
        ("Size", {"fields": ("flavor_name", "vcpus", "memory_mib", "disk_gib", "extra_specs")}),
        ("Source", {"fields": ("image_name", "image_id", "key_name", "config_drive", "metadata")}),
        ("Owner", {"fields": ("project_id", "user_id", "is_locked", "locked_by", "locked_reason")}),
        ("Times", {"fields": ("created_at", "updated_at", "launched_at", "terminated_at", "deleted_at")}),
    )
    readonly_fields = ("timeline", "status", "power")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_staff  # type: ignore[union-attr]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Verbs act as an admin of the cloud, so only a superuser has them here; other staff may look."""
        return bool(request.user.is_superuser)

    @admin.display(description="actions and their steps")
    def timeline(self, instance: Instance) -> str:
        """Every action on the instance with its steps, newest first."""
        actions = Action.objects.filter(target_id=instance.pk).order_by("-created_at")[:20]
        return timeline(actions) or "–"

    @admin.display(description="power state", ordering="power_state")
    def power(self, instance: Instance) -> str:
        """The last observation, in words."""
        return PowerState(instance.power_state).name.capitalize()

    @admin.display(description="created at", ordering="created_at")
    def created(self, instance: Instance) -> str:
        """Short enough for a column."""
        return f"{instance.created_at:%Y-%m-%d %H:%M:%S}"


@admin.register(Fault)
class FaultAdmin(ReadOnlyAdmin):
    """Faults of all instances."""

    list_display = ("created_at", "instance", "code", "message")
    list_select_related = ("instance",)
    search_fields = ("=instance__id", "message")


admin.site.register(Migration, MigrationAdmin)


class FlavorAccessInline(admin.TabularInline):
    """Projects that may use a flavor which is not public."""

    model = FlavorAccess
    extra = 0


@admin.register(Flavor)
class FlavorAdmin(admin.ModelAdmin):
    """Sizes on offer."""

    list_display = ("name", "flavorid", "vcpus", "memory_mib", "disk_gib", "is_public", "is_disabled")
    list_filter = ("is_public", "is_disabled")
    search_fields = ("name", "flavorid")
    inlines = (FlavorAccessInline,)


@admin.register(KeyPair)
class KeyPairAdmin(admin.ModelAdmin):
    """Public keys of users."""

    list_display = ("name", "user_id", "type", "fingerprint", "created_at")
    search_fields = ("name", "user_id", "fingerprint")


@admin.register(Quota)
class QuotaAdmin(admin.ModelAdmin):
    """Limits of projects that differ from the defaults."""

    list_display = ("project_id", "resource", "limit")
    list_filter = ("resource",)
    search_fields = ("project_id",)


@admin.register(QuotaClass)
class QuotaClassAdmin(admin.ModelAdmin):
    """Default limits."""

    list_display = ("name", "resource", "limit")
