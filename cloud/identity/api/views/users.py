"""Users, their passwords and the projects that they are in."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from cloud.api.policy import require_admin
from cloud.api.schemas import validate
from cloud.errors import Forbidden
from cloud.identity import selectors, services
from cloud.identity.api import schemas, serializers
from cloud.identity.api.views.discovery import IdentityView
from cloud.identity.api.views.projects import changes, keep_domain, listed
from cloud.identity.models import User

_FIELDS = {
    "name": "name",
    "password": "password",
    "email": "email",
    "description": "description",
    "is_enabled": "enabled",
    "default_project_id": "default_project_id",
}


class UsersView(IdentityView):
    """GET, POST /users."""

    def get(self, request: Request) -> Response:
        require_admin(self.caller, "listing users")
        query = schemas.query_of(request.query_params)
        filters = {key: query[key] for key in ("name", "domain_id") if key in query}
        rows = User.objects.filter(**filters, **schemas.enabled_filter(query))
        return listed(request, rows, "users", "users", serializers.user)

    def post(self, request: Request) -> Response:
        require_admin(self.caller, "creating a user")
        body = validate(schemas.CREATE_USER, request.data)["user"]
        domain_id = body.get("domain_id") or self.caller.user_domain_id
        row = services.create_user(domain_id=domain_id, **changes(body, **_FIELDS))
        return Response({"user": serializers.user(row)}, status=201)


class UserView(IdentityView):
    """GET, PATCH, DELETE /users/{id}."""

    def get(self, request: Request, user_id: str) -> Response:
        return Response({"user": serializers.user(selectors.readable_user(self.caller, user_id))})

    def patch(self, request: Request, user_id: str) -> Response:
        require_admin(self.caller, "changing a user")
        body = validate(schemas.UPDATE_USER, request.data)["user"]
        row = selectors.user(user_id)
        keep_domain(body, row.domain_id)
        return Response({"user": serializers.user(services.update_user(user=row, **changes(body, **_FIELDS)))})

    def delete(self, request: Request, user_id: str) -> Response:
        require_admin(self.caller, "deleting a user")
        services.delete_user(user=selectors.user(user_id))
        return Response(status=204)


class PasswordView(IdentityView):
    """POST /users/{id}/password: one's own, proven by the old one."""

    def post(self, request: Request, user_id: str) -> Response:
        body = validate(schemas.CHANGE_PASSWORD, request.data)["user"]
        if user_id != self.caller.user_id:
            raise Forbidden("Only the user itself changes its password here; an admin sets one with PATCH on the user.")
        services.change_own_password(
            user=selectors.user(user_id), original=body["original_password"], password=body["password"]
        )
        return Response(status=204)


class UserProjectsView(IdentityView):
    """GET /users/{id}/projects: where the user holds a role."""

    def get(self, request: Request, user_id: str) -> Response:
        row = selectors.readable_user(self.caller, user_id, "reading the projects of this user")
        rows = selectors.projects_of(row.pk)
        return listed(request, rows, "projects", f"users/{row.pk}/projects", serializers.project)


class UserGroupsView(IdentityView):
    """GET /users/{id}/groups: there are no groups."""

    def get(self, request: Request, user_id: str) -> Response:
        row = selectors.readable_user(self.caller, user_id, "reading the groups of this user")
        return Response(serializers.collection("groups", [], f"users/{row.pk}/groups"))
