"""What projects may have: quota sets, quota classes, and the limits that a project sees of itself."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from cloud.api.policy import require_admin, require_project
from cloud.api.schemas import boolean
from cloud.errors import BadRequest, Forbidden
from cloud.identity.models import Project
from instances import quotas
from instances.api.schemas import quota_sets as schemas
from instances.api.views.base import InstancesView


class _QuotaView(InstancesView):
    def of_project(self, project_id: str, *, changes: bool = False) -> str:
        """The project of the URL: one's own, or any for an admin; changes are an admin's. BadRequest when unknown."""
        if changes:
            require_admin(self.caller, "changing quotas")
        if project_id == self.caller.project_id:
            return project_id
        if not self.caller.is_admin:
            raise Forbidden(f"Policy does not allow reading the quotas of project {project_id[:80]}.")
        if not Project.objects.filter(pk=project_id).exists():
            raise BadRequest(f"Project ID {project_id[:80]} is not a valid project.", field="project_id")
        return project_id

    def shown(self, limits: dict[str, int]) -> dict[str, Any]:
        """The limits that the version knows."""
        return {name: limits[name] for name in schemas.resources(self.version)}


class QuotaSetView(_QuotaView):
    """GET, PUT, DELETE /os-quota-sets/{project}."""

    def get(self, request: Request, project_id: str) -> Response:
        project = self.of_project(project_id)
        return Response({"quota_set": {"id": project, **self.shown(quotas.limits(project))}})

    def put(self, request: Request, project_id: str) -> Response:
        body = self.body(schemas.update(self.version))["quota_set"]
        project = self.of_project(project_id, changes=True)
        wanted = {name: int(limit) for name, limit in body.items() if name != "force"}
        quotas.set_limits(project_id=project, wanted=wanted, force=boolean(body.get("force", False)))
        return Response({"quota_set": self.shown(quotas.limits(project))})

    def delete(self, request: Request, project_id: str) -> Response:
        quotas.reset_limits(project_id=self.of_project(project_id, changes=True))
        return Response(status=202)


class QuotaDefaultsView(_QuotaView):
    """GET /os-quota-sets/{project}/defaults: what a project without limits of its own has."""

    def get(self, request: Request, project_id: str) -> Response:
        return Response({"quota_set": {"id": project_id, **self.shown(quotas.class_limits())}})


class QuotaDetailView(_QuotaView):
    """GET /os-quota-sets/{project}/detail: limits with what is used of them."""

    def get(self, request: Request, project_id: str) -> Response:
        project = self.of_project(project_id)
        used = quotas.usage(project)
        each = {
            name: {"limit": limit, "in_use": used.of(name), "reserved": 0}
            for name, limit in self.shown(quotas.limits(project)).items()
        }
        return Response({"quota_set": {"id": project, **each}})


class QuotaClassView(InstancesView):
    """GET, PUT /os-quota-class-sets/{class}."""

    def get(self, request: Request, name: str) -> Response:
        require_admin(self.caller, "reading quota classes")
        return Response({"quota_class_set": {"id": name, **self._shown(name)}})

    def put(self, request: Request, name: str) -> Response:
        require_admin(self.caller, "changing quota classes")
        body = self.body(schemas.update_class(self.version))["quota_class_set"]
        if len(name) > 255:
            raise BadRequest(f"Invalid quota class {name[:80]!r}: it is longer than 255 characters.")
        quotas.set_class_limits(name=name, wanted={key: int(limit) for key, limit in body.items()})
        return Response({"quota_class_set": self._shown(name)})

    def _shown(self, name: str) -> dict[str, int]:
        limits = quotas.class_limits(name)
        return {key: limits[key] for key in schemas.resources(self.version, of_class=True)}


class LimitsView(_QuotaView):
    """GET /limits: the caller's project's limits and what is used of them."""

    def get(self, request: Request) -> Response:
        asked = request.query_params.get("tenant_id")
        project = self.of_project(asked) if asked else require_project(self.caller, "reading limits")
        limits, used, minor = quotas.limits(project), quotas.usage(project), self.version.minor
        absolute: dict[str, int] = {
            "maxTotalInstances": limits["instances"],
            "maxTotalCores": limits["cores"],
            "maxTotalRAMSize": limits["ram"],
            "maxServerMeta": limits["metadata_items"],
            "maxTotalKeypairs": limits["key_pairs"],
            "maxServerGroups": limits["server_groups"],
            "maxServerGroupMembers": limits["server_group_members"],
            "totalInstancesUsed": used.instances,
            "totalCoresUsed": used.cores,
            "totalRAMUsed": used.ram,
            "totalServerGroupsUsed": 0,
        }
        if minor <= 38:
            absolute["maxImageMeta"] = limits["metadata_items"]
        if minor <= 56:
            absolute["maxPersonality"] = limits["injected_files"]
            absolute["maxPersonalitySize"] = limits["injected_file_content_bytes"]
        if minor <= 35:
            absolute |= {
                "maxTotalFloatingIps": limits["floating_ips"],
                "maxSecurityGroups": limits["security_groups"],
                "maxSecurityGroupRules": limits["security_group_rules"],
                "totalFloatingIpsUsed": 0,
                "totalSecurityGroupsUsed": 0,
            }
        return Response({"limits": {"rate": [], "absolute": absolute}})
