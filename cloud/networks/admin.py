"""The operator's view of networks. Instances' ports are made and removed by actions, so they cannot be edited here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from cloud.networks.models import Network, NetworkHost, Port, PortAddress, Subnet


class SubnetInline(admin.TabularInline):
    """The ranges of a network."""

    model = Subnet
    extra = 0
    can_delete = False
    fields = ("name", "cidr", "gateway_ip", "enable_dhcp", "allocation_pools")
    readonly_fields = ("cidr", "gateway_ip", "allocation_pools")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class HostInline(admin.TabularInline):
    """The hosts of a network, and whether each knows of the others: `told` is then the network's reach version."""

    model = NetworkHost
    extra = 0
    can_delete = False
    fields = readonly_fields = ("host", "address", "told")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Network)
class NetworkAdmin(admin.ModelAdmin):
    """Networks with what is on them."""

    list_display = ("name", "id", "mode", "mtu", "is_shared", "is_admin_state_up", "project_id", "ports", "created_at")
    list_filter = ("mode", "is_shared", "is_admin_state_up")
    search_fields = ("name", "id", "project_id")
    readonly_fields = ("id", "vni", "reach_version", "created_at", "updated_at")
    inlines = (SubnetInline, HostInline)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Network]:
        return super().get_queryset(request).annotate(port_count=Count("ports"))

    @admin.display(description="ports", ordering="port_count")
    def ports(self, network: Network) -> int:
        """How many ports are on it."""
        return network.port_count  # type: ignore[attr-defined]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or not obj.ports.exists())


@admin.register(Subnet)
class SubnetAdmin(admin.ModelAdmin):
    """Ranges and how full they are."""

    list_display = ("name", "network", "cidr", "gateway_ip", "enable_dhcp", "fill")
    list_filter = ("enable_dhcp", "network")
    search_fields = ("name", "id", "cidr", "project_id")
    list_select_related = ("network",)
    readonly_fields = (
        "id",
        "network",
        "cidr",
        "gateway_ip",
        "allocation_pools",
        "ip_version",
        "created_at",
        "updated_at",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subnet]:
        return super().get_queryset(request).annotate(used=Count("addresses"))

    @admin.display(description="addresses used", ordering="used")
    def fill(self, subnet: Subnet) -> str:
        """Used of those that may be given out."""
        return f"{subnet.used} / {subnet.plan.size}"  # type: ignore[attr-defined]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or not obj.addresses.exists())


class AddressInline(admin.TabularInline):
    """The addresses of a port."""

    model = PortAddress
    extra = 0
    can_delete = False
    readonly_fields = ("subnet", "ip", "number")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class _ReadOnly(admin.ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Port)
class PortAdmin(_ReadOnly):
    """Ports, to look at: the API and the actions change them."""

    list_display = ("mac", "name", "network", "ips", "status", "device_id", "binding_host", "moving_to", "made_by")
    list_filter = ("status", "network")
    search_fields = ("id", "mac", "name", "device_id", "project_id", "addresses__ip")
    list_select_related = ("network",)
    inlines = (AddressInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Port]:
        return super().get_queryset(request).prefetch_related("addresses")

    @admin.display(description="addresses")
    def ips(self, port: Port) -> str:
        """Its addresses."""
        return ", ".join(address.ip for address in port.addresses.all())


@admin.register(PortAddress)
class PortAddressAdmin(_ReadOnly):
    """Addresses, to look at."""

    list_display = ("ip", "subnet", "port")
    list_filter = ("subnet",)
    search_fields = ("ip", "port__device_id", "port__mac")
    list_select_related = ("subnet", "port")
