"""Domains and projects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from cloud.api import paging
from cloud.api.policy import require_admin
from cloud.api.schemas import validate
from cloud.errors import BadRequest
from cloud.identity import selectors, services
from cloud.identity.api import schemas, serializers
from cloud.identity.api.views.discovery import IdentityView
from cloud.identity.models import Domain, Project

M = TypeVar("M", bound=Model)


def listed(request: Request, rows: QuerySet[M], key: str, path: str, shape: Callable[[M], dict[str, Any]]) -> Response:
    """A list: all of it, as keystone answers, or the page after `marker` when a `limit` is given."""
    query = schemas.query_of(request.query_params)
    if "limit" not in query:
        return Response(serializers.collection(key, map(shape, rows), path))
    found, limit = paging.page(rows, query, ("name", "id"))
    items = list(found)
    link = paging.next_link(request, str(items[limit - 1].pk), limit) if len(items) > limit > 0 else None
    return Response(serializers.collection(key, map(shape, items[:limit]), path, link))


def changes(body: dict[str, Any], **names: str) -> dict[str, Any]:
    """What a body changes, under the services' names (`names`: theirs to the wire's). A null text is an empty one."""
    found = {ours: body[wire] for ours, wire in names.items() if wire in body}
    return {ours: "" if value is None and ours in ("description", "email") else value for ours, value in found.items()}


class DomainsView(IdentityView):
    """GET, POST /domains."""

    def get(self, request: Request) -> Response:
        require_admin(self.caller, "listing domains")
        query = schemas.query_of(request.query_params)
        filters = {"name": query["name"]} if "name" in query else {}
        rows = Domain.objects.filter(**filters, **schemas.enabled_filter(query))
        return listed(request, rows, "domains", "domains", serializers.domain)

    def post(self, request: Request) -> Response:
        require_admin(self.caller, "creating a domain")
        body = validate(schemas.CREATE_DOMAIN, request.data)["domain"]
        row = services.create_domain(**changes(body, name="name", description="description", is_enabled="enabled"))
        return Response({"domain": serializers.domain(row)}, status=201)


class DomainView(IdentityView):
    """GET, PATCH, DELETE /domains/{id}."""

    def get(self, request: Request, domain_id: str) -> Response:
        return Response({"domain": serializers.domain(selectors.readable_domain(self.caller, domain_id))})

    def patch(self, request: Request, domain_id: str) -> Response:
        require_admin(self.caller, "changing a domain")
        body = validate(schemas.UPDATE_DOMAIN, request.data)["domain"]
        row = services.update_domain(
            domain=selectors.domain(domain_id),
            **changes(body, name="name", description="description", is_enabled="enabled"),
        )
        return Response({"domain": serializers.domain(row)})

    def delete(self, request: Request, domain_id: str) -> Response:
        require_admin(self.caller, "deleting a domain")
        services.delete_domain(domain=selectors.domain(domain_id))
        return Response(status=204)


class ProjectsView(IdentityView):
    """GET, POST /projects."""

    def get(self, request: Request) -> Response:
        query = schemas.query_of(request.query_params)
        require_admin(self.caller, "listing projects")
        filters: dict[str, str] = {key: query[key] for key in ("name", "domain_id") if key in query}
        if "parent_id" in query:  # a project's parent is its domain
            filters["domain__pk"] = query["parent_id"]
        if schemas.flag(query, "is_domain"):
            filters["pk"] = ""
        rows = Project.objects.filter(**filters, **schemas.enabled_filter(query))
        return listed(request, rows, "projects", "projects", serializers.project)

    def post(self, request: Request) -> Response:
        require_admin(self.caller, "creating a project")
        body = validate(schemas.CREATE_PROJECT, request.data)["project"]
        domain_id = body.get("domain_id") or body.get("parent_id") or self.caller.user_domain_id
        if body.get("parent_id") not in (None, domain_id):
            raise BadRequest(
                f"Invalid input for field/attribute parent_id. Value: {body['parent_id']!r}. "
                "Projects have no projects under them: the parent is the domain."
            )
        given = changes(body, name="name", description="description", is_enabled="enabled")
        row = services.create_project(domain_id=domain_id, **given)
        return Response({"project": serializers.project(row)}, status=201)


class ProjectView(IdentityView):
    """GET, PATCH, DELETE /projects/{id}."""

    def get(self, request: Request, project_id: str) -> Response:
        return Response({"project": serializers.project(selectors.readable_project(self.caller, project_id))})

    def patch(self, request: Request, project_id: str) -> Response:
        require_admin(self.caller, "changing a project")
        body = validate(schemas.UPDATE_PROJECT, request.data)["project"]
        row = selectors.project(project_id)
        keep_domain(body, row.domain_id)
        given = changes(body, name="name", description="description", is_enabled="enabled")
        return Response({"project": serializers.project(services.update_project(project=row, **given))})

    def delete(self, request: Request, project_id: str) -> Response:
        require_admin(self.caller, "deleting a project")
        services.delete_project(project=selectors.project(project_id))
        return Response(status=204)


def keep_domain(body: dict[str, Any], domain_id: str | None) -> None:
    """BadRequest when the body would move a user or project to another domain."""
    if body.get("domain_id") not in (None, domain_id):
        raise BadRequest(
            f"Invalid input for field/attribute domain_id. Value: {body['domain_id']!r}. The domain cannot be changed."
        )
