"""Rows as keystone's clients read them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from cloud.identity.catalog import ENDPOINTS, SERVICES, CatalogService, Endpoint
from cloud.identity.models import Domain, Project, Role, RoleAssignment, Token, User


def base_url() -> str:
    """Identity's own address, with its version."""
    return f"{settings.PUBLIC_URL}/identity/v3"


def timestamp(value: datetime) -> str:
    """Keystone's form: UTC with microseconds and a Z."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def version() -> dict[str, Any]:
    """The description of v3 that clients discover."""
    return {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": f"{base_url()}/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    }


def collection(key: str, items: Iterable[dict[str, Any]], path: str, next_link: str | None = None) -> dict[str, Any]:
    """A list with its links; `path` is under the version's address."""
    return {key: list(items), "links": {"next": next_link, "self": f"{base_url()}/{path}", "previous": None}}


def domain(row: Domain) -> dict[str, Any]:
    """A domain."""
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "enabled": row.is_enabled,
        "options": {},
        "tags": [],
        "links": {"self": f"{base_url()}/domains/{row.id}"},
    }


def project(row: Project) -> dict[str, Any]:
    """A project; its parent is its domain."""
    return {
        "id": row.id,
        "name": row.name,
        "domain_id": row.domain_id,
        "description": row.description,
        "enabled": row.is_enabled,
        "parent_id": row.domain_id,
        "is_domain": False,
        "tags": [],
        "options": {},
        "links": {"self": f"{base_url()}/projects/{row.id}"},
    }


def user(row: User) -> dict[str, Any]:
    """A user; what it did not set is left out, as keystone does."""
    shown = {
        "id": row.id,
        "name": row.name,
        "domain_id": row.domain_id,
        "enabled": row.is_enabled,
        "password_expires_at": None,
        "options": {},
        "links": {"self": f"{base_url()}/users/{row.id}"},
    }
    optional = {"email": row.email, "description": row.description, "default_project_id": row.default_project_id}
    return {**shown, **{key: value for key, value in optional.items() if value}}


def role(row: Role) -> dict[str, Any]:
    """A role of the whole cloud."""
    return {
        "id": row.id,
        "name": row.name,
        "domain_id": None,
        "description": row.description or None,
        "options": {},
        "links": {"self": f"{base_url()}/roles/{row.id}"},
    }


def assignment(row: RoleAssignment, *, with_names: bool) -> dict[str, Any]:
    """Who holds which role where; `with_names` adds the names."""

    def named(item: Project | User) -> dict[str, Any]:
        if not with_names:
            return {"id": item.id}
        return {"id": item.id, "name": item.name, "domain": {"id": item.domain_id, "name": item.domain.name}}

    def plain(item: Domain | Role) -> dict[str, Any]:
        return {"id": item.id, "name": item.name} if with_names else {"id": item.id}

    scope: dict[str, Any] = {"system": {"all": True}}
    path = "system"
    if row.project is not None:
        scope, path = {"project": named(row.project)}, f"projects/{row.project_id}"
    elif row.domain is not None:
        scope, path = {"domain": plain(row.domain)}, f"domains/{row.domain_id}"
    link = f"{base_url()}/{path}/users/{row.user_id}/roles/{row.role_id}"
    return {"role": plain(row.role), "user": named(row.user), "scope": scope, "links": {"assignment": link}}


def service(item: CatalogService) -> dict[str, Any]:
    """A service of the catalogue as a resource."""
    links = {"self": f"{base_url()}/services/{item.id}"}
    return {
        "id": item.id,
        "type": item.type,
        "name": item.name,
        "enabled": True,
        "description": "",
        "links": links,
    }


def endpoint(item: Endpoint) -> dict[str, Any]:
    """An endpoint of the catalogue as a resource."""
    return {
        "id": item.id,
        "service_id": item.service.id,
        "interface": item.interface,
        "region": settings.REGION,
        "region_id": settings.REGION,
        "url": item.service.url,
        "enabled": True,
        "links": {"self": f"{base_url()}/endpoints/{item.id}"},
    }


def region() -> dict[str, Any]:
    """The one region."""
    return {
        "id": settings.REGION,
        "description": "",
        "parent_region_id": None,
        "links": {"self": f"{base_url()}/regions/{settings.REGION}"},
    }


def catalog() -> list[dict[str, Any]]:
    """The catalogue as tokens carry it."""
    return [
        {
            "id": item.id,
            "type": item.type,
            "name": item.name,
            "endpoints": [
                {
                    "id": endpoint.id,
                    "interface": endpoint.interface,
                    "region": settings.REGION,
                    "region_id": settings.REGION,
                    "url": item.url,
                }
                for endpoint in ENDPOINTS
                if endpoint.service is item
            ],
        }
        for item in SERVICES
    ]


def token(row: Token, *, with_catalog: bool = True) -> dict[str, Any]:
    """The body of a token: who, where, which roles, until when, and the catalogue unless the token is unscoped."""
    user_domain = row.user.domain
    body: dict[str, Any] = {
        "methods": row.methods,
        "user": {
            "id": row.user_id,
            "name": row.user.name,
            "domain": {"id": user_domain.id, "name": user_domain.name},
            "password_expires_at": None,
        },
        "audit_ids": row.audit_ids,
        "issued_at": timestamp(row.issued_at),
        "expires_at": timestamp(row.expires_at),
    }
    if row.project is not None:
        home = row.project.domain
        body["project"] = {
            "id": row.project.id,
            "name": row.project.name,
            "domain": {"id": home.id, "name": home.name},
        }
        body["is_domain"] = False
    elif row.domain is not None:
        body["domain"] = {"id": row.domain.id, "name": row.domain.name}
    elif row.is_system:
        body["system"] = {"all": True}
    else:
        return body
    body["roles"] = row.roles
    if with_catalog:
        body["catalog"] = catalog()
    return body
