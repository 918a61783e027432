"""Roles, and who holds them where."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from cloud.api.policy import require_admin
from cloud.api.schemas import validate
from cloud.identity import selectors, services
from cloud.identity.api import schemas, serializers
from cloud.identity.api.views.discovery import IdentityView
from cloud.identity.api.views.projects import changes, listed
from cloud.identity.models import Role, RoleAssignment


class RolesView(IdentityView):
    """GET, POST /roles."""

    def get(self, request: Request) -> Response:
        require_admin(self.caller, "listing roles")
        query = schemas.query_of(request.query_params)
        rows = Role.objects.filter(**({"name": query["name"]} if "name" in query else {}))
        if query.get("domain_id"):  # roles of a domain, of which there are none
            rows = rows.none()
        return listed(request, rows, "roles", "roles", serializers.role)

    def post(self, request: Request) -> Response:
        require_admin(self.caller, "creating a role")
        body = validate(schemas.CREATE_ROLE, request.data)["role"]
        row = services.create_role(**changes(body, name="name", description="description"))
        return Response({"role": serializers.role(row)}, status=201)


class RoleView(IdentityView):
    """GET, PATCH, DELETE /roles/{id}."""

    def get(self, request: Request, role_id: str) -> Response:
        require_admin(self.caller, "reading roles")
        return Response({"role": serializers.role(selectors.role(role_id))})

    def patch(self, request: Request, role_id: str) -> Response:
        require_admin(self.caller, "changing a role")
        body = validate(schemas.UPDATE_ROLE, request.data)["role"]
        given = changes(body, name="name", description="description")
        return Response({"role": serializers.role(services.update_role(role=selectors.role(role_id), **given))})

    def delete(self, request: Request, role_id: str) -> Response:
        require_admin(self.caller, "deleting a role")
        services.delete_role(role=selectors.role(role_id))
        return Response(status=204)


def _where(kind: str, target_id: str) -> dict[str, Any]:
    """The scope of an assignment as services take it; nothing means the system."""
    if kind == "projects":
        return {"project": selectors.project(target_id)}
    return {"domain": selectors.domain(target_id)} if kind == "domains" else {}


class HeldRolesView(IdentityView):
    """GET /{projects|domains}/{id}/users/{id}/roles and /system/users/{id}/roles."""

    def get(self, request: Request, kind: str, user_id: str, target_id: str = "") -> Response:
        selectors.readable_user(self.caller, user_id, "reading the roles of this user")
        where = _where(kind, target_id)
        held = RoleAssignment.objects.filter(user=user_id, **(where or {"is_system": True}))
        rows = Role.objects.filter(pk__in=held.values("role"))
        path = f"{kind}/{target_id}/users/{user_id}/roles" if target_id else f"system/users/{user_id}/roles"
        return listed(request, rows, "roles", path, serializers.role)


class HeldRoleView(IdentityView):
    """PUT, HEAD, GET, DELETE one role of one user in one project, one domain or the system: 204, no bodies."""

    def put(self, request: Request, kind: str, user_id: str, role_id: str, target_id: str = "") -> Response:
        require_admin(self.caller, "assigning a role")
        services.assign_role(user=selectors.user(user_id), role=selectors.role(role_id), **_where(kind, target_id))
        return Response(status=204)

    def get(self, request: Request, kind: str, user_id: str, role_id: str, target_id: str = "") -> Response:
        user = selectors.readable_user(self.caller, user_id, "reading the roles of this user")
        role, where = selectors.role(role_id), _where(kind, target_id)
        if not RoleAssignment.objects.filter(user=user, role=role, **(where or {"is_system": True})).exists():
            raise _not_held(role, user_id)
        return Response(status=204)

    def head(self, request: Request, kind: str, user_id: str, role_id: str, target_id: str = "") -> Response:
        return self.get(request, kind, user_id, role_id, target_id)

    def delete(self, request: Request, kind: str, user_id: str, role_id: str, target_id: str = "") -> Response:
        require_admin(self.caller, "taking a role away")
        user, role = selectors.user(user_id), selectors.role(role_id)
        if not services.unassign_role(user=user, role=role, **_where(kind, target_id)):
            raise _not_held(role, user_id)
        return Response(status=204)


def _not_held(role: Role, user_id: str) -> selectors.IdentityNotFound:
    return selectors.IdentityNotFound(f"Could not find role assignment: user {user_id[:80]} does not hold {role.name}.")


class AssignmentsView(IdentityView):
    """GET /role_assignments: filtered by scope, user and role. `effective` changes nothing: there are no groups."""

    def get(self, request: Request) -> Response:
        query = schemas.query_of(request.query_params)
        rows = selectors.readable_assignments(self.caller, query.get("user.id"))
        filters: dict[str, Any] = {}
        for name, field in _ASSIGNMENT_FILTERS.items():
            if name in query:
                filters[field] = query[name]
        if "scope.system" in query:
            filters["is_system"] = True
        if "group.id" in query:
            rows = rows.none()
        with_names = schemas.flag(query, "include_names")
        shown = (serializers.assignment(row, with_names=with_names) for row in rows.filter(**filters))
        return Response(serializers.collection("role_assignments", shown, "role_assignments"))


_ASSIGNMENT_FILTERS = {
    "scope.project.id": "project_id",
    "scope.domain.id": "domain_id",
    "user.id": "user_id",
    "role.id": "role_id",
}
