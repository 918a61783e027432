"""The placement API, read-only: compute nodes as resource providers, allocations as they are. For admins.

What writes here in OpenStack is the scheduler itself; ours writes through `claims.py`.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from cloud.api.policy import require_admin
from cloud.api.views import OpenMixin, WireView
from cloud.errors import BadRequest, NotAcceptable, NotFound
from scheduling.models import Allocation, ComputeNode

MIN, MAX = (1, 0), (1, 29)
VCPU, MEMORY, DISK = "VCPU", "MEMORY_MB", "DISK_GB"


class PlacementView(WireView):
    """A resource of the placement service, with its microversion in `self.version`."""

    service = "placement"
    version: tuple[int, int] = MIN

    def negotiate(self, request: Request) -> None:
        self.version = _requested(request.headers.get("OpenStack-API-Version", ""))

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not isinstance(self, OpenMixin):
            require_admin(self.caller, f"{request.method} {request.path}")

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response["OpenStack-API-Version"] = f"placement {self.version[0]}.{self.version[1]}"
        response["Vary"] = "OpenStack-API-Version"
        return response


def _requested(header: str) -> tuple[int, int]:
    for part in header.split(","):
        service, _, text = part.strip().partition(" ")
        if service.lower() != "placement":
            continue
        text = text.strip()
        if text == "latest":
            return MAX
        major, dot, minor = text.partition(".")
        if not dot or not major.isdecimal() or not minor.isdecimal() or len(text) > 12:
            raise BadRequest(f"invalid version string: {text[:80]}")
        version = int(major), int(minor)
        if not MIN <= version <= MAX:
            raise NotAcceptable(f"Unacceptable version header: {text}. It must be from 1.0 to {MAX[0]}.{MAX[1]}.")
        return version
    return MIN


class Versions(OpenMixin, PlacementView):
    """`/placement`: open to all."""

    def get(self, request: Request) -> Response:
        version = {
            "id": "v1.0",
            "status": "CURRENT",
            "min_version": "1.0",
            "max_version": f"{MAX[0]}.{MAX[1]}",
            "links": [{"rel": "self", "href": ""}],
        }
        return Response({"versions": [version]})


class Providers(PlacementView):
    """`/resource_providers`"""

    def get(self, request: Request) -> Response:
        rows = ComputeNode.objects.order_by("id")
        for name, value in request.query_params.dict().items():
            if name == "name" and "\x00" not in value:
                rows = rows.filter(host=value)
            elif name in ("uuid", "in_tree"):
                rows = rows.filter(uuid=_uuid(value, name))
            else:
                raise BadRequest(f"Invalid query string parameters: {name[:80]!r} is not served.")
        return Response({"resource_providers": [_show(node, self.version) for node in rows]})


class OneProvider(PlacementView):
    """`/resource_providers/{uuid}`"""

    def get(self, request: Request, provider_id: str) -> Response:
        return Response(_show(_provider(provider_id), self.version))


class Inventories(PlacementView):
    """`/resource_providers/{uuid}/inventories`"""

    def get(self, request: Request, provider_id: str) -> Response:
        node = _provider(provider_id)
        inventories = {
            VCPU: _inventory(node.vcpus, 0, node.cpu_ratio),
            MEMORY: _inventory(node.memory_mib, node.reserved_memory_mib, node.ram_ratio),
            DISK: _inventory(node.disk_gib, 0, node.disk_ratio),
        }
        return Response({"resource_provider_generation": _generation(node), "inventories": inventories})


class Usages(PlacementView):
    """`/resource_providers/{uuid}/usages`"""

    def get(self, request: Request, provider_id: str) -> Response:
        node = _provider(provider_id)
        usages = {VCPU: node.used_vcpus, MEMORY: node.used_memory_mib, DISK: node.used_disk_gib}
        return Response({"resource_provider_generation": _generation(node), "usages": usages})


class ProviderAllocations(PlacementView):
    """`/resource_providers/{uuid}/allocations`"""

    def get(self, request: Request, provider_id: str) -> Response:
        node = _provider(provider_id)
        rows = Allocation.objects.filter(host=node.host).order_by("id")
        allocations = {str(row.consumer): {"resources": _resources(row)} for row in rows}
        return Response({"resource_provider_generation": _generation(node), "allocations": allocations})


class ProviderTraits(PlacementView):
    """`/resource_providers/{uuid}/traits`: none are kept."""

    def get(self, request: Request, provider_id: str) -> Response:
        return Response({"resource_provider_generation": _generation(_provider(provider_id)), "traits": []})


class ProviderAggregates(PlacementView):
    """`/resource_providers/{uuid}/aggregates`: none are kept."""

    def get(self, request: Request, provider_id: str) -> Response:
        node = _provider(provider_id)
        shown: dict[str, Any] = {"aggregates": []}
        if self.version >= (1, 19):
            shown["resource_provider_generation"] = _generation(node)
        return Response(shown)


class ConsumerAllocations(PlacementView):
    """`/allocations/{consumer}`: empty for an unknown consumer, as the reference has it."""

    def get(self, request: Request, consumer_id: str) -> Response:
        rows = list(Allocation.objects.filter(consumer=_uuid(consumer_id, "consumer")).order_by("id"))
        nodes = {node.host: node for node in ComputeNode.objects.filter(host__in=[row.host for row in rows])}
        allocations = {
            str(nodes[row.host].uuid): {"generation": _generation(nodes[row.host]), "resources": _resources(row)}
            for row in rows
            if row.host in nodes
        }
        shown: dict[str, Any] = {"allocations": allocations}
        if allocations and self.version >= (1, 12):
            shown |= {"project_id": rows[0].project_id, "user_id": ""}
        if allocations and self.version >= (1, 28):
            shown["consumer_generation"] = 1
        return Response(shown)


def _uuid(text: str, what: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise BadRequest(f"Invalid {what}: {text[:80]!r} is not a UUID.", field=what)


def _provider(provider_id: str) -> ComputeNode:
    try:
        return ComputeNode.objects.get(uuid=UUID(provider_id))
    except (ValueError, ComputeNode.DoesNotExist):
        raise NotFound(f"No resource provider with uuid {provider_id[:80]} found")


def _generation(node: ComputeNode) -> int:
    """Nobody writes through this API, so nobody needs it to compare; it grows with every change of the inventory."""
    return int(node.updated_at.timestamp())


def _inventory(total: int, reserved: int, ratio: float) -> dict[str, Any]:
    return {
        "total": total,
        "reserved": reserved,
        "min_unit": 1,
        "max_unit": max(total, 1),
        "step_size": 1,
        "allocation_ratio": ratio,
    }


def _resources(row: Allocation) -> dict[str, int]:
    amounts = {VCPU: row.vcpus, MEMORY: row.memory_mib, DISK: row.disk_gib}
    return {name: amount for name, amount in amounts.items() if amount}


def _show(node: ComputeNode, version: tuple[int, int]) -> dict[str, Any]:
    url = f"/placement/resource_providers/{node.uuid}"
    names = ["inventories", "usages"]
    names += ["aggregates"] if version >= (1, 1) else []
    names += ["traits"] if version >= (1, 6) else []
    names += ["allocations"] if version >= (1, 11) else []
    shown = {
        "uuid": str(node.uuid),
        "name": node.host,
        "generation": _generation(node),
        "links": [{"rel": "self", "href": url}, *({"rel": name, "href": f"{url}/{name}"} for name in names)],
    }
    if version >= (1, 14):
        shown |= {"parent_provider_uuid": None, "root_provider_uuid": str(node.uuid)}
    return shown
