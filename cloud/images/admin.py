"""Images in the admin console. Bytes come and go through the API's own verbs alone."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from cloud.images import services
from cloud.images.models import Image, ImageMember, ImageStatus


class MemberInline(admin.TabularInline):
    """The projects that a shared image is shared with."""

    model = ImageMember
    extra = 0
    fields = ("project_id", "status")


@admin.register(Image)
class ImageAdmin(admin.ModelAdmin):
    """Images, deleted ones included while their rows are kept."""

    list_display = ("name", "id", "status", "visibility", "project_id", "disk_format", "shown_size", "created_at")
    list_filter = ("status", "visibility", "disk_format", "is_protected", "is_hidden")
    search_fields = ("name", "id", "project_id")
    date_hierarchy = "created_at"
    inlines = (MemberInline,)
    readonly_fields = (
        "id",
        "status",
        "shown_size",
        "size",
        "virtual_size",
        "checksum",
        "os_hash_algo",
        "os_hash_value",
        "disk_format",
        "container_format",
        "created_at",
        "updated_at",
        "deleted_at",
        "upload_seen_at",
    )
    fieldsets = (
        (None, {"fields": ("id", "name", "status", "project_id", "visibility", "is_protected", "is_hidden")}),
        ("Needs", {"fields": ("min_disk", "min_ram")}),
        ("Labels", {"fields": ("tags", "properties")}),
        (
            "Bytes",
            {
                "fields": (
                    "disk_format",
                    "container_format",
                    "shown_size",
                    "size",
                    "virtual_size",
                    "checksum",
                    "os_hash_algo",
                    "os_hash_value",
                )
            },
        ),
        ("Times", {"fields": ("created_at", "updated_at", "upload_seen_at", "deleted_at")}),
    )

    @admin.display(description="file", ordering="size")
    def shown_size(self, image: Image) -> str:
        return filesizeformat(image.size) if image.size else "-"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """An image needs bytes: it is created over the API."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Image | None = None) -> bool:
        is_deletable = obj is None or not (obj.is_protected or obj.status == ImageStatus.DELETED)
        return is_deletable and super().has_delete_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Image | None = None) -> bool:
        is_gone = obj is not None and obj.status == ImageStatus.DELETED
        return not is_gone and super().has_change_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Image, form: Any, change: bool) -> None:
        """Only what the form changed, so that an upload under way is not written over."""
        obj.updated_at = timezone.now()
        obj.save(update_fields=[*form.changed_data, "updated_at"])

    def delete_model(self, request: HttpRequest, obj: Image) -> None:
        services.delete_image(caller=None, image_id=str(obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Image]) -> None:
        for image in queryset:
            self.delete_model(request, image)


@admin.register(ImageMember)
class ImageMemberAdmin(admin.ModelAdmin):
    """Who shared images are shared with."""

    list_display = ("image", "project_id", "status", "created_at")
    list_filter = ("status",)
    list_select_related = ("image",)
    search_fields = ("image__name", "image__id", "project_id")
    raw_id_fields = ("image",)
    readonly_fields = ("created_at", "updated_at")
