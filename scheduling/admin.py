"""The operator's view of hosts: capacity as bars, who holds what. Counters are kept by claims and cannot be edited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from scheduling.models import Allocation, ComputeNode

_BAR = (
    '<div style="width:9em;background:#8883;border-radius:3px" title="{title}">'
    '<div style="width:{percent}%;background:{colour};border-radius:3px;white-space:nowrap;padding:0 .3em">{text}</div>'
    "</div>"
)


def _bar(used: int, total: float, unit: str) -> SafeString:
    percent = min(100, round(100 * used / total)) if total > 0 else 0
    colour = "#d9534fcc" if percent >= 90 else "#f0ad4ecc" if percent >= 70 else "#5cb85ccc"
    text = f"{used} / {total:.0f} {unit}".strip()
    return format_html(_BAR, title=f"{percent} % of {total:.0f} {unit}", percent=percent, colour=colour, text=text)


@admin.register(ComputeNode)
class ComputeNodeAdmin(admin.ModelAdmin):
    """Compute nodes. Zone, reserve and overcommit ratios are the operator's; the rest comes from hosts and claims."""

    list_display = ("host", "zone", "is_schedulable", "vcpu_bar", "ram_bar", "disk_bar", "running_guests", "hypervisor")
    list_filter = ("zone", "is_schedulable", "hypervisor_type", "architecture")
    search_fields = ("host", "hypervisor_hostname", "uuid", "host_ip")
    fieldsets = (
        (None, {"fields": ("host", "uuid", "hypervisor_hostname", "host_ip", "is_schedulable")}),
        ("The operator's", {"fields": ("zone", "reserved_memory_mib", "cpu_ratio", "ram_ratio", "disk_ratio")}),
        ("Capacity, overcommit included", {"fields": ("vcpu_bar", "ram_bar", "disk_bar")}),
        ("As the host reports", {"fields": ("vcpus", "memory_mib", "disk_gib", "observed_free_disk_gib")}),
        ("Hypervisor", {"fields": ("hypervisor", "architecture", "cpu_info", "storage_id", "running_guests")}),
        ("Times", {"fields": ("created_at", "updated_at")}),
    )
    _EDITABLE = ("zone", "reserved_memory_mib", "cpu_ratio", "ram_ratio", "disk_ratio")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        names = [name for _, options in self.fieldsets for name in options["fields"]]  # type: ignore[union-attr]
        return [str(name) for name in names if name not in self._EDITABLE]

    def save_model(self, request: HttpRequest, obj: ComputeNode, form: Any, change: bool) -> None:
        # Only what was edited: a claim may have moved the counters since the form was opened.
        edited = [name for name in form.changed_data if name in self._EDITABLE]
        if edited:
            ComputeNode.objects.filter(pk=obj.pk).update(**{name: form.cleaned_data[name] for name in edited})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="vCPUs", ordering="used_vcpus")
    def vcpu_bar(self, node: ComputeNode) -> SafeString:
        """Taken of what may be taken."""
        return _bar(node.used_vcpus, node.vcpus * node.cpu_ratio, "")

    @admin.display(description="RAM", ordering="free_memory_mib")
    def ram_bar(self, node: ComputeNode) -> SafeString:
        """Taken of what may be taken."""
        return _bar(node.used_memory_mib, (node.memory_mib - node.reserved_memory_mib) * node.ram_ratio, "MiB")

    @admin.display(description="disk", ordering="free_disk_gib")
    def disk_bar(self, node: ComputeNode) -> SafeString:
        """Taken of what may be taken."""
        return _bar(node.used_disk_gib, node.disk_gib * node.disk_ratio, "GiB")

    @admin.display(description="hypervisor")
    def hypervisor(self, node: ComputeNode) -> str:
        """Kind and version."""
        version = node.hypervisor_version
        return f"{node.hypervisor_type} {version // 1_000_000}.{version // 1000 % 1000}.{version % 1000}"


@admin.register(Allocation)
class AllocationAdmin(admin.ModelAdmin):
    """Who holds what where, to look at."""

    list_display = ("consumer", "host", "vcpus", "memory_mib", "disk_gib", "project_id", "group", "created_at")
    list_filter = ("created_at",)
    search_fields = ("consumer", "host", "project_id", "group", "action_id")
    date_hierarchy = "created_at"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
