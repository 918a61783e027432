"""The views of compute nodes: `os-hypervisors`, and the older `os-hosts`. For admins."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Sum
from rest_framework.request import Request
from rest_framework.response import Response

from cloud.api import paging
from cloud.api.microversions import served
from cloud.api.policy import require_admin
from cloud.api.schemas import BOOLEAN, boolean
from cloud.api.views import ComputeView
from cloud.errors import BadRequest, CloudError, NotFound
from scheduling import selectors
from scheduling.api import serializers
from scheduling.models import Allocation, ComputeNode
from scheduling.selectors import Hypervisor


class UptimeUnknown(CloudError):
    """Hosts do not report how long they have been up."""

    code, status = "scheduling.uptime_unknown", 501


class AdminView(ComputeView):
    """A resource that only admins may see."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        require_admin(self.caller, f"{request.method} {request.path}")


def text_of(request: Request, name: str) -> str | None:
    """A text of the query string; BadRequest for one with a NUL, which no database compares."""
    value = request.query_params.get(name)
    if value is not None and "\x00" in value:
        raise BadRequest(f"Invalid input for query parameter {name}: it has a NUL character.", field=name)
    return value


class Hypervisors(AdminView):
    """`os-hypervisors` and `os-hypervisors/detail`"""

    is_detailed = False

    def get(self, request: Request) -> Response:
        pattern = text_of(request, "hypervisor_hostname_pattern") if self.version >= serializers.UUIDS else None
        rows = selectors.compute_nodes(pattern)
        links: dict[str, Any] = {}
        if self.version >= serializers.PAGED:
            nodes, links = self._page(request, rows)
        else:
            nodes = list(rows)
        if pattern is not None and not nodes:
            raise NotFound(f"No hypervisor matching '{pattern[:80]}' could be found.")
        hypervisors = selectors.with_services(nodes)
        show = serializers.detail_hypervisor if self.is_detailed else serializers.show_hypervisor
        shown = [show(hypervisor, self.version) for hypervisor in hypervisors]
        if wants_servers(request, self.version >= serializers.UUIDS):
            _add_servers(shown, hypervisors, self.version >= serializers.SERVERS_ALWAYS)
        return Response({"hypervisors": shown, **links})

    def _page(self, request: Request, rows: Any) -> tuple[list[ComputeNode], dict[str, Any]]:
        by_uuid = self.version >= serializers.UUIDS
        found, limit = paging.page(rows, request.query_params, ("id",), "uuid" if by_uuid else "id")
        page = list(found)
        if len(page) <= limit or limit == 0:
            return page[:limit], {}
        last = page[limit - 1]
        href = paging.next_link(request, str(last.uuid if by_uuid else last.pk), limit)
        return page[:limit], {"hypervisors_links": [{"rel": "next", "href": href}]}


def wants_servers(request: Request, may: bool) -> bool:
    """The query's `with_servers`. BadRequest when it is no boolean."""
    value = request.query_params.get("with_servers")
    if not may or value is None:
        return False
    if value not in BOOLEAN["enum"]:
        raise BadRequest(
            f"Invalid input for query parameter with_servers. Value: {value[:80]!r}.", field="with_servers"
        )
    return boolean(value)


def _add_servers(shown: list[dict[str, Any]], hypervisors: list[Hypervisor], always: bool) -> None:
    consumers = selectors.consumers_on([hypervisor.node.host for hypervisor in hypervisors])
    for row, hypervisor in zip(shown, hypervisors, strict=True):
        found = consumers.get(hypervisor.node.host, [])
        if found or always:
            row["servers"] = serializers.show_servers(found)


class OneHypervisor(AdminView):
    """`os-hypervisors/{id}`"""

    def get(self, request: Request, hypervisor_id: str) -> Response:
        by_uuid = self.version >= serializers.UUIDS
        hypervisors = selectors.with_services([selectors.compute_node(hypervisor_id, by_uuid)])
        shown = [serializers.detail_hypervisor(hypervisors[0], self.version)]
        if wants_servers(request, by_uuid):
            _add_servers(shown, hypervisors, self.version >= serializers.SERVERS_ALWAYS)
        return Response({"hypervisor": shown[0]})


class Statistics(AdminView):
    """`os-hypervisors/statistics`: sums over the enabled hosts."""

    @served("2.1", "2.87")
    def get(self, request: Request) -> Response:
        nodes = [
            hypervisor.node
            for hypervisor in selectors.with_services(selectors.compute_nodes())
            if hypervisor.service is not None and not hypervisor.service.is_disabled
        ]
        usages = [serializers.usage(node) for node in nodes]
        names = serializers.usage(ComputeNode())
        sums = {name: sum(usage[name] for usage in usages) for name in names}
        return Response({"hypervisor_statistics": {"count": len(nodes), **sums}})


class Uptime(AdminView):
    """`os-hypervisors/{id}/uptime`"""

    @served("2.1", "2.87")
    def get(self, request: Request, hypervisor_id: str) -> Response:
        node = selectors.compute_node(hypervisor_id, self.version >= serializers.UUIDS)
        raise UptimeUnknown(f"Host {node.host} does not report its uptime.")


class Search(AdminView):
    """`os-hypervisors/{pattern}/search` and `/servers`"""

    has_servers = False

    @served("2.1", "2.52")
    def get(self, request: Request, pattern: str) -> Response:
        nodes = list(selectors.compute_nodes(pattern)) if "\x00" not in pattern else []
        if not nodes:
            raise NotFound(f"No hypervisor matching '{pattern[:80]}' could be found.")
        hypervisors = selectors.with_services(nodes)
        shown = [serializers.show_hypervisor(hypervisor, self.version) for hypervisor in hypervisors]
        if self.has_servers:
            _add_servers(shown, hypervisors, always=False)
        return Response({"hypervisors": shown})


# --- os-hosts, up to 2.42 ---------------------------------------------------------------------------------------------


class Hosts(AdminView):
    """`os-hosts`"""

    @served("2.1", "2.42")
    def get(self, request: Request) -> Response:
        rows = list(selectors.services(host=text_of(request, "host")))
        zones = selectors.zones_of({row.host for row in rows})
        wanted = text_of(request, "zone")
        shown = [
            {"host_name": row.host, "service": row.binary.removeprefix("nova-"), "zone": selectors.zone_of(row, zones)}
            for row in rows
        ]
        return Response({"hosts": [row for row in shown if wanted in (None, row["zone"])]})


class OneHost(AdminView):
    """`os-hosts/{name}`: what the host has, what is taken of it, and by which project."""

    @served("2.1", "2.42")
    def get(self, request: Request, host: str) -> Response:
        node = ComputeNode.objects.filter(host=host).first() if "\x00" not in host else None
        if node is None:
            raise NotFound(f"Compute host {host[:80]} could not be found.")
        taken = (node.used_vcpus, node.used_memory_mib, node.used_disk_gib)
        in_use = (node.used_vcpus, node.used_memory_mib + node.reserved_memory_mib, node.used_disk_gib)
        rows = [
            _resource(host, "(total)", node.vcpus, node.memory_mib, node.disk_gib),
            _resource(host, "(used_now)", *in_use),
            _resource(host, "(used_max)", *taken),
        ]
        by_project = (
            Allocation.objects.filter(host=host)
            .values_list("project_id")
            .annotate(Count("id"), Sum("vcpus"), Sum("memory_mib"), Sum("disk_gib"))
        )
        for project_id, _, vcpus, memory, disk in by_project.order_by("project_id"):
            rows.append(_resource(host, project_id, vcpus, memory, disk))
        return Response({"host": rows})


def _resource(host: str, project: str, vcpus: int, memory_mib: int, disk_gib: int) -> dict[str, Any]:
    return {"resource": {"host": host, "project": project, "cpu": vcpus, "memory_mb": memory_mib, "disk_gb": disk_gib}}
